import { checkText } from '@sdrx/linux';
import { Observable } from 'rxjs';
import type { EventLoop } from '../loop.js';
import { trace } from './trace.js';
import { TraceFile } from './trace-file.js';

/**
 * Writes each dispatch of a loop to a file, as long as it is subscribed to; completes when the loop has finished. The file is one
 * that Perfetto (ui.perfetto.dev) and Chrome's `about:tracing` open, and that `npx sdrx-trace FILE` draws. One that is there is
 * replaced.
 *
 * It is written in portions of 64 KiB, or when a second has passed since the last, between two dispatches. Of a process that is
 * killed the last portion is missing, and the rest can be read.
 *
 * Fails with what opening and writing the file fails with (ENOENT, EACCES, ENOSPC), and with ESTALE once the loop has finished;
 * the loop goes on. To unsubscribe writes what there is left, and throws if that fails.
 * @param path the file's
 * @throws TypeError
 * @example
 * // For as long as the service runs, if somebody asks for it.
 * const { TRACE } = process.env;
 * if (TRACE !== undefined) writeTrace(loop, TRACE).subscribe({ error: (error) => console.warn(error) });
 */
export function writeTrace(loop: EventLoop, path: string): Observable<never> {
  checkText('path', path);
  const dispatches = trace(loop);
  return new Observable((subscriber) => {
    let file: TraceFile | undefined;
    const attempt = (work: () => void) => {
      try {
        work();
      } catch (error) {
        subscriber.error(error);
      }
    };
    const subscription = dispatches.subscribe({
      next: (dispatch) => attempt(() => file?.add(dispatch)),
      error: (error) => subscriber.error(error),
      complete: () => {
        attempt(() => file?.finish());
        subscriber.complete();
      },
    });
    // The file of another trace stays if there will be none of this loop.
    if (!subscriber.closed) {
      attempt(() => {
        file = new TraceFile(path);
      });
    }
    return () => {
      subscription.unsubscribe();
      file?.[Symbol.dispose]();
    };
  });
}
