import { allocate, libc } from '../ffi/libc.js';

/** confstr(3) _CS_PATH of the GNU C library, for who has no PATH. */
const DEFAULT_PATH = '/bin:/usr/bin';

const getenv = libc<(name: string) => bigint | number>('intptr_t getenv(const char *)');
const strlen = libc<(text: bigint | number) => number>('size_t strlen(intptr_t)');
const memcpy = libc<(to: Uint8Array, from: bigint | number, size: number) => void>(
  'void memcpy(void *, intptr_t, size_t)',
);

/**
 * Where a program may be, in order, each as a C string: in the folders of our own PATH if its name has no slash. As execvp(3)
 * has it, the environment that counts is that of C, and an empty folder is the one where the program starts.
 */
export function programPaths(file: string): Buffer[] {
  const name = Buffer.from(file);
  if (file === '' || file.includes('/')) return [terminated(name)];
  const slash = Buffer.from('/');
  return ownPath()
    .split(':')
    .map((folder) => (folder === '' ? [name] : [Buffer.from(folder, 'latin1'), slash, name]))
    .map((parts) => terminated(...parts));
}

/** A character for each byte: names of folders need not be UTF-8. */
function ownPath(): string {
  const address = getenv('PATH');
  if (Number(address) === 0) return DEFAULT_PATH;
  const bytes = allocate(strlen(address));
  memcpy(bytes, address, bytes.length);
  return bytes.toString('latin1');
}

/** These bytes and a NUL, at an address that holds. */
function terminated(...parts: readonly Buffer[]): Buffer {
  const memory = allocate(parts.reduce((size, { length }) => size + length, 1));
  let at = 0;
  for (const part of parts) at += part.copy(memory, at);
  return memory;
}
