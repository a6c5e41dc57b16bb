import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/** Kills a process, and waits until nothing of it is left: Node closes its pipes a moment after its end. */
export async function killed(child: ChildProcess): Promise<void> {
  const streams = [child.stdin, child.stdout, child.stderr];
  const hasExited = child.exitCode !== null || child.signalCode !== null;
  if (hasExited && streams.every((stream) => stream?.closed ?? true)) return;
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
}
