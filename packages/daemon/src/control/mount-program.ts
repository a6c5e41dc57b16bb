import { spawnSync } from 'node:child_process';

/** Runs mount(8) or umount(8). @returns why it failed; undefined if it did not */
export function runMountProgram(program: 'mount' | 'umount', ...words: readonly string[]): string | undefined {
  const { status, stderr, error } = spawnSync(program, words, {
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  return status === 0 ? undefined : (error?.message ?? stderr).trim();
}
