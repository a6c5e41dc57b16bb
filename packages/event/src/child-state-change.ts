import { EOPNOTSUPP, isMainThread, SystemError } from '@sdrx/linux';

const listeners = new Set<() => void>();

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
  if (!isMainThread()) throw new SystemError(EOPNOTSUPP, 'SIGCHLD outside of the main thread');
  if (listeners.size === 0) process.on('SIGCHLD', childrenChanged);
  listeners.add(listener);
  return () => {
    if (listeners.delete(listener) && listeners.size === 0) process.off('SIGCHLD', childrenChanged);
  };
}
