import { isSystemError } from '@sdrx/linux';
import type { Log } from './log.js';

/**
 * Keeps an error that nobody caught from ending a process that serves many clients at once. A system call that failed, for want
 * of memory or watches, say, concerned what it was done for: that is logged. Any other is a mistake of the program, after
 * which nobody knows what holds: what has been begun is finished, then the process ends.
 * @param end begins the end
 */
export function surviveErrors(log: Log, end: () => void): Disposable {
  const survive = (error: unknown) => {
    if (isSystemError(error)) {
      log.warning('unexpected error', error);
    } else {
      log.error('error in the program, no more clients are served', error instanceof Error ? error.stack : error);
      end();
    }
  };
  process.on('uncaughtException', survive);
  return { [Symbol.dispose]: () => process.off('uncaughtException', survive) };
}
