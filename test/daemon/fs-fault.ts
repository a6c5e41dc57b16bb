import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { constants } from 'node:os';

const NAMES = [
  'closeSync',
  'fstatSync',
  'fsyncSync',
  'ftruncateSync',
  'linkSync',
  'lstatSync',
  'mkdirSync',
  'openSync',
  'readSync',
  'readdirSync',
  'renameSync',
  'rmdirSync',
  'unlinkSync',
  'writeSync',
] as const;
type Name = (typeof NAMES)[number];

/** Which calls are meant: those that change a file system, or also those that only look. */
export type Calls = 'changes' | 'all';

/** What to do in place of a call. */
export type Fault = (name: Name, original: () => unknown, args: readonly unknown[]) => unknown;

const LOOKS: readonly Name[] = ['closeSync', 'fstatSync', 'lstatSync', 'readSync', 'readdirSync'];

function isChange(name: Name, [, flags]: readonly unknown[]): boolean {
  if (name === 'openSync') return typeof flags === 'number' && (flags & fs.constants.O_CREAT) !== 0;
  return !LOOKS.includes(name);
}

/**
 * Does something in place of calls to the file system.
 * @param fault is told each call, counted from 0 on
 * @returns a function that ends this, and tells how many calls there were
 */
export function onCalls(calls: Calls, fault: (index: number, ...call: Parameters<Fault>) => unknown): () => number {
  const originals = NAMES.map((name) => fs[name]);
  let count = 0;
  NAMES.forEach((name, index) => {
    const original = originals[index] as (...args: unknown[]) => unknown;
    Object.assign(fs, {
      [name]: (...args: unknown[]) => {
        const call = () => original(...args);
        return calls === 'changes' && !isChange(name, args) ? call() : fault(count++, name, call, args);
      },
    });
  });
  syncBuiltinESMExports();
  return () => {
    NAMES.forEach((name, index) => {
      Object.assign(fs, { [name]: originals[index] });
    });
    syncBuiltinESMExports();
    return count;
  };
}

/**
 * Lets `count` more calls that change the file system succeed; every later one does `fault` instead, as for a process
 * that is killed there.
 * @returns a function that ends this, and tells whether it came to a fault
 */
export function failAfter(count: number, fault: () => never): () => boolean {
  const end = onCalls('changes', (index, _name, original) => (index < count ? original() : fault()));
  return () => end() > count;
}

/** The error of a call that did not take place. */
export function made(code: keyof typeof constants.errno, syscall: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: made up, ${syscall}`), { code, errno: -constants.errno[code], syscall });
}

/**
 * Lets one call fail, and no other.
 * @param index of the call, from 0 on
 * @param code as in errno(3)
 * @returns a function that ends this, and tells which call it was
 */
export function failOnce(index: number, code: keyof typeof constants.errno, calls: Calls): () => string | undefined {
  let failed: string | undefined;
  const end = onCalls(calls, (current, name, original) => {
    if (current !== index) return original();
    failed = name;
    // A descriptor is closed whatever close(2) says.
    if (name === 'closeSync') original();
    throw made(code, name.slice(0, -'Sync'.length));
  });
  return () => {
    end();
    return failed;
  };
}
