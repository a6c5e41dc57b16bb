import { atLoad, EBUSY, SystemError } from '@sdrx/linux';
import type { FdStore } from './fd-store.js';

/** How often it is tried again to get the registry's lock from a worker, in milliseconds. */
const LOCK_RETRY = 2;

/** How long the start waits for the registry's lock, in milliseconds: a process that has it for longer will not give it back. */
const LOCK_PATIENCE = 20_000;

/**
 * What to do at the start while another process has the registry's lock; see `Registry.whileWaiting`. No client waits yet, so the
 * manager may wait long, but not for ever: the other process may be stopped. Throws EBUSY when it is too long.
 */
export function waitAtStart(): () => void {
  const end = atLoad.performanceNow() + LOCK_PATIENCE;
  return () => {
    if (atLoad.performanceNow() > end) {
      throw new SystemError(EBUSY, 'flock', 'registry/lock, which another process holds');
    }
    pauseBriefly();
  };
}

/** The same for later, when a worker that has the lock may be waiting for the fd store to take what it sends. */
export function receiveWhileWaiting(store: FdStore): () => void {
  return () => {
    store.receive();
    pauseBriefly();
  };
}

function pauseBriefly(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOCK_RETRY);
}
