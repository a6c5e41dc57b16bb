import { checkArray, checkMethods, checkObject, type Signal, type SignalInfo, signalNumber } from '@sdrx/linux';
import { merge, type Observable, tap } from 'rxjs';
import { checkSourceOptions } from '../core/check-options.js';
import type { SourceOptions } from '../core/source.js';
import type { EventLoop } from '../loop.js';

/**
 * Ends the loop with code 0 on SIGTERM or SIGINT, or the signals given. sd_event_set_signal_exit(3).
 *
 * @example
 * process.exitCode = await loop.run(exitOnSignal(loop));
 */
export function exitOnSignal(
  loop: EventLoop,
  signals: readonly Signal[] = ['SIGTERM', 'SIGINT'],
  options: SourceOptions = {},
): Observable<SignalInfo> {
  checkMethods('loop', loop, 'an EventLoop', 'signal', 'exit');
  checkArray('signals', signals, (_, signal) => signalNumber(signal as Signal));
  checkObject('options', options);
  checkSourceOptions(options);
  return merge(...signals.map((signal) => loop.signal(signal, options))).pipe(tap(() => loop.exit(0)));
}
