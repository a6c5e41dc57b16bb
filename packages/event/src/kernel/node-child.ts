import type { ChildProcess } from 'node:child_process';
import { subscribe } from 'node:diagnostics_channel';
import { type Fd, readKernelFile } from '@sdrx/linux';

/*
 * The children that Node itself started in this thread, by node:child_process. Node reaps them; who else did would keep it
 * waiting for them for ever.
 */
const children = new Set<WeakRef<ChildProcess>>();
let pruneAt = 64;

subscribe('child_process', (message) => {
  if (typeof message === 'object' && message !== null && 'process' in message) remember(message.process);
});
// Those that were started before this module was loaded. There is no other way to learn of them; without it they would be missed.
for (const handle of activeHandles()) remember(handle);

function activeHandles(): readonly unknown[] {
  const list: unknown = Reflect.get(process, '_getActiveHandles');
  return typeof list === 'function' ? list.call(process) : [];
}

function remember(value: unknown): void {
  if (!isNodeChild(value)) return;
  if (children.size >= pruneAt) {
    liveChildren();
    pruneAt = Math.max(64, children.size * 2);
  }
  children.add(new WeakRef(value));
}

/** Those that have not ended, as far as Node knows. */
function liveChildren(): ChildProcess[] {
  const live: ChildProcess[] = [];
  for (const reference of children) {
    const child = reference.deref();
    if (child === undefined || hasEnded(child)) children.delete(reference);
    else live.push(child);
  }
  return live;
}

/** Whether `value` is a ChildProcess of node:child_process, told by its shape: to load that module takes time. */
export function isNodeChild(value: unknown): value is ChildProcess {
  return (
    typeof value === 'object' &&
    value !== null &&
    'spawnfile' in value &&
    'exitCode' in value &&
    'signalCode' in value &&
    'kill' in value
  );
}

/** Whether Node has reaped it, and knows how it ended. */
export function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

/** The child of Node's that has this id, or that this pidfd stands for; undefined if it is none. */
export function nodeChildOf(which: number | Fd): ChildProcess | undefined {
  const live = liveChildren();
  if (live.length === 0) return undefined;
  const pid = typeof which === 'number' ? which : pidOf(which.number);
  return live.find((child) => child.pid === pid);
}

/** The id of the process that a pidfd stands for; undefined for another file. proc_pid_fdinfo(5) */
function pidOf(pidfd: number): number | undefined {
  try {
    const [, pid] = /^Pid:\s*(\d+)$/m.exec(readKernelFile(`/proc/self/fdinfo/${pidfd}`)) ?? [];
    return pid === undefined ? undefined : Number(pid);
  } catch {
    // Not open, which is for whoever uses it to find.
    return undefined;
  }
}
