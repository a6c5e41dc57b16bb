import { isSystemError } from '@sdrx/linux';
import { catchError, EMPTY, type MonoTypeOperatorFunction } from 'rxjs';
import type { Log } from '../program/log.js';

/**
 * For a source that the daemon can do without: a system error is logged and ends it. Any other error is a mistake, such as a
 * malformed environment variable, and is passed on. That a machine lacks the source is nothing special, so it is logged as `debug`.
 */
export function goWithout<T>(log: Log, what: string): MonoTypeOperatorFunction<T> {
  return catchError((error) => {
    if (!isSystemError(error)) throw error;
    const usual = isSystemError(error, 'EOPNOTSUPP', 'EHOSTDOWN', 'EACCES', 'EPERM');
    log[usual ? 'debug' : 'warning'](`${what} not available`, error);
    return EMPTY;
  });
}

/** For a source that the daemon needs: a failure is logged, and the source is subscribed to again. */
export function tryAgain<T>(log: Log, what: string): MonoTypeOperatorFunction<T> {
  return catchError((error, again) => {
    log.warning(`${what} failed`, error);
    return again;
  });
}
