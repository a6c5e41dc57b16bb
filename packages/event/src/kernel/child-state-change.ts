import { EOPNOTSUPP, isMainThread, SystemError } from '@sdrx/linux';

const listeners = new Set<() => void>();

/** Some child stopped, continued or ended; which one is for the listeners to find out. */
function childrenChanged(): void {
  for (const listener of [...listeners]) listener();
}

/**
 * Calls `listener` when some child of this process has changed its state, by Node's SIGCHLD, also while a loop listens to that
 * signal.
 * @returns a function that ends the listening
 * @throws EOPNOTSUPP outside of the main thread, where Node tells of no signals
 */
export function onChildStateChange(listener: () => void): () => void {
  if (!isMainThread())
    throw new SystemError(EOPNOTSUPP, 'signal', 'SIGCHLD', 'only the main thread can listen to signals');
  if (listeners.size === 0) process.on('SIGCHLD', childrenChanged);
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) process.off('SIGCHLD', childrenChanged);
  };
}
