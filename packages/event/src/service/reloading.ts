import {
  checkArray,
  checkFunction,
  checkMethods,
  checkNumber,
  checkObject,
  isSystemError,
  type Signal,
  signalNumber,
} from '@sdrx/linux';
import {
  catchError,
  defer,
  EMPTY,
  endWith,
  exhaustMap,
  from,
  ignoreElements,
  merge,
  type Observable,
  of,
  repeat,
  take,
  tap,
} from 'rxjs';
import { checkObservable, checkPriority, isObservable } from '../core/check-options.js';
import type { SourceOptions } from '../core/source.js';
import type { EventLoop } from '../loop.js';
import type { Notification } from './notification.js';
import { notify } from './notify.js';

/** The longest text of an error that is told the service manager, in characters: systemd reads 4,096 bytes. */
const LONGEST = 1000;

/** What came of a reload. */
export type ReloadOutcome = Reloaded | ReloadFailure;

/** It was done. */
export interface Reloaded {
  /** Tells it from the other. */
  readonly ok: true;
}

/** The work failed. */
export interface ReloadFailure {
  /** Tells it from the other. */
  readonly ok: false;
  /** What it threw, or ended with. */
  readonly error: unknown;
}

/** How a service reloads. */
export interface ReloadingOptions extends Pick<SourceOptions, 'priority'> {
  /** What asks for it, by default SIGHUP, which is also that of ReloadSignal=. */
  readonly signals?: readonly Signal[];
  /** What asks for it beside them: `watchFile` of its configuration, say. Its error is that of the whole. */
  readonly also?: Observable<unknown>;
  /**
   * For work that may take longer than TimeoutStartSec= of the unit: how much longer the service manager is to wait, in
   * milliseconds, counted from each message, of which there are two in this time as long as the work goes on. Without it a
   * reload that takes too long fails in the manager's eyes, and the service goes on.
   */
  readonly extend?: number;
}

/**
 * Does `work` whenever a signal, or something else, asks for it, and tells the service manager what it has to know of a unit with
 * Type=notify-reload: RELOADING=1 with the time, then READY=1. systemd.service(5), sd_notify(3)
 *
 * One at a time: what asks for it meanwhile has it done once more afterwards. When the work fails, STATUS says why, and READY=1
 * is sent as well: systemd knows no reload that failed, and would wait until its time is over. After one that failed the next
 * success says so by STATUS.
 *
 * Subscribe before READY=1 of the start is sent: until then the signal ends the process, and since 262 systemd takes a service
 * that does not catch it for failed. Works the same without a service manager. Who unsubscribes while the work goes on has to
 * send READY=1 himself. Fails as `EventLoop.signal`.
 * @param work may return a promise or an Observable, which is waited for; its values are passed over
 * @returns an Observable of what came of each. A service manager that can't be told is a warning of Node's
 * @throws TypeError and RangeError
 * @example
 * let greeting = '';
 * const configure = async () => {
 *   greeting = await readFile('/etc/greeting', 'utf8');
 * };
 * reloading(loop, configure).subscribe(({ ok }) => console.log(ok ? greeting : 'the old one stays'));
 */
export function reloading(
  loop: EventLoop,
  work: () => unknown,
  options: ReloadingOptions = {},
): Observable<ReloadOutcome> {
  checkMethods('loop', loop, 'an EventLoop', 'signal', 'time', 'now');
  checkFunction('work', work);
  checkObject('options', options);
  const { signals = ['SIGHUP'], also = EMPTY, extend, priority = 0 } = options;
  checkArray('signals', signals, (_, signal) => signalNumber(signal as Signal));
  checkObservable('also', also);
  if (extend !== undefined) checkNumber('extend', extend, Number.MIN_VALUE, Number.MAX_SAFE_INTEGER / 1e3);
  if (!isObservable(priority)) checkPriority(priority);

  const longer: Notification = extend === undefined ? {} : { EXTEND_TIMEOUT_USEC: extend * 1e3 };
  const extending =
    extend === undefined
      ? EMPTY
      : loop.time({ after: extend / 2, every: extend / 2, description: 'reload' }).pipe(
          tap(() => tell(longer)),
          ignoreElements(),
        );
  return defer(() => {
    let asked = false;
    let hasFailed = false;
    const reload = defer(() => {
      asked = false;
      tell({ RELOADING: 1, MONOTONIC_USEC: loop.now() * 1e3, ...longer });
      return merge(outcomeOf(work), extending).pipe(
        take(1),
        tap((outcome) => {
          tell({ READY: 1, ...statusOf(outcome, hasFailed) });
          hasFailed = !outcome.ok;
        }),
      );
    });
    const asking = signals.map((signal) => loop.signal(signal, { priority, description: 'reload' }));
    return merge(...asking, also).pipe(
      tap(() => {
        asked = true;
      }),
      exhaustMap(() => reload.pipe(repeat({ delay: () => (asked ? of(undefined) : EMPTY) }))),
    );
  });
}

function outcomeOf(work: () => unknown): Observable<ReloadOutcome> {
  return defer(() => {
    const result = work();
    return isObservable(result) ? from(result as Observable<unknown>) : from(Promise.resolve(result));
  }).pipe(
    ignoreElements(),
    endWith({ ok: true } as const),
    catchError((error: unknown) => of({ ok: false, error } as const)),
  );
}

function statusOf(outcome: ReloadOutcome, hadFailed: boolean): Pick<Notification, 'STATUS'> {
  if (outcome.ok) return hadFailed ? { STATUS: 'reloaded' } : {};
  const { error } = outcome;
  const text = error instanceof Error ? error.message : String(error);
  return { STATUS: `reload failed: ${text.slice(0, LONGEST).replace(/[\n\r\0]+/g, ' ')}` };
}

/** The work is done whether it can be told or not. */
function tell(notification: Notification): void {
  try {
    notify(notification);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    process.emitWarning(`the service manager is not told of a reload: ${error.message}`);
  }
}
