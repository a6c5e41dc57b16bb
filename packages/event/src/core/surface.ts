import { atLoad } from '@sdrx/linux';

/** Node's `uncaughtException`: the error is nobody's, and must not be lost. */
export function surface(error: unknown): void {
  atLoad.nextTick(() => {
    throw error;
  });
}
