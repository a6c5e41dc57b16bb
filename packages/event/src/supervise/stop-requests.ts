import { fromEvent, NEVER, type Observable, of } from 'rxjs';
import type { StopOptions } from './supervise-options.js';

/** Each time that somebody asks for the stop. */
export function stopRequests(on: StopOptions['on']): Observable<unknown> {
  if (!(on instanceof AbortSignal)) return on ?? NEVER;
  return on.aborted ? of(undefined) : fromEvent(on, 'abort');
}
