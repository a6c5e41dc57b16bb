import { EOPNOTSUPP, isMainThread, SystemError } from '@sdrx/linux';

const listeners = new Set<() => void>();
/** Whether a loop listens to SIGCHLD itself, and calls us. */
let received = false;
let installed = false;

/** Node's handler and ours would displace each other, so there is one of them at a time. */
function install(): void {
  const wanted = listeners.size > 0 && !received;
  if (wanted === installed) return;
  installed = wanted;
  if (wanted) process.on('SIGCHLD', childrenChanged);
  else process.off('SIGCHLD', childrenChanged);
}

/** Before a loop begins to listen to SIGCHLD, and after the last one ceased to. */
export function receiveChildStateChanges(on: boolean): void {
  received = on;
  install();
  // What came in between went to neither.
  if (!on) childrenChanged();
}

/** Tells everybody that some child stopped, continued or ended; which one is for them to find out. */
export function childrenChanged(): void {
  for (const listener of [...listeners]) listener();
}

/**
 * Calls `listener` when some child of this process has changed its state, by Node's SIGCHLD, or by ours while a loop listens
 * to that signal.
 * @returns a function that ends the listening
 * Throws EOPNOTSUPP outside of the main thread, where Node tells of no signals.
 */
export function onChildStateChange(listener: () => void): () => void {
  if (!isMainThread())
    throw new SystemError(EOPNOTSUPP, 'signal', 'SIGCHLD', 'only the main thread can listen to signals');
  listeners.add(listener);
  install();
  return () => {
    listeners.delete(listener);
    install();
  };
}
