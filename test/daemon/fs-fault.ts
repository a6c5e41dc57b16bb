import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const CALLS = ['linkSync', 'mkdirSync', 'renameSync', 'rmdirSync', 'unlinkSync', 'writeFileSync'] as const;

/**
 * Lets `count` more calls that change the file system succeed; every later one does `fault` instead, as for a process
 * that is killed there.
 * @returns a function that ends this, and tells whether it came to a fault
 */
export function failAfter(count: number, fault: () => never): () => boolean {
  const originals = CALLS.map((name) => fs[name]);
  let left = count;
  CALLS.forEach((name, index) => {
    const original = originals[index] as (...args: unknown[]) => unknown;
    Object.assign(fs, {
      [name]: (...args: unknown[]) => {
        if (left-- <= 0) fault();
        return original(...args);
      },
    });
  });
  syncBuiltinESMExports();
  return () => {
    CALLS.forEach((name, index) => {
      Object.assign(fs, { [name]: originals[index] });
    });
    syncBuiltinESMExports();
    return left < 0;
  };
}
