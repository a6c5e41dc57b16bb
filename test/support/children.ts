import { readdirSync, readFileSync } from 'node:fs';

/** The ids of this process's children, those that ended and were not reaped included. */
export function children(): number[] {
  return readdirSync('/proc/self/task').flatMap((tid) =>
    readFileSync(`/proc/self/task/${tid}/children`, 'ascii').split(' ').filter(Boolean).map(Number),
  );
}
