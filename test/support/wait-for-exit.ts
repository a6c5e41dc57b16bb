import { type ChildChange, type ChildProcess, WEXITED, waitPidfd } from '@sdrx/linux';

/** Waits, blocking, until a child has ended, reaps it, and closes its pidfd. */
export function waitForExit(child: ChildProcess): ChildChange {
  const change = waitPidfd(child.pidfd.number, WEXITED);
  child[Symbol.dispose]();
  if (change === undefined) throw new Error(`process ${child.pid} has not ended`);
  return change;
}
