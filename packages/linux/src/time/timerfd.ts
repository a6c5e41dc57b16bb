import { outOfRange, wrongKind } from '../arguments.js';
import { check, isSystemError, SystemError } from '../error/system-error.js';
import { descriptorCall } from '../fd/descriptor-call.js';
import { Fd, read } from '../fd/fd.js';
import { allocate, libc } from '../ffi/libc.js';
import { CLOCKS, type Clock, checkClock } from './clock.js';

const TFD_NONBLOCK = 0o4000;
const TFD_CLOEXEC = 0o2000000;
const TFD_TIMER_ABSTIME = 1;
const TFD_TIMER_CANCEL_ON_SET = 2;

const timerfdCreate = descriptorCall<(clock: number, flags: number) => number>('int timerfd_create(int, int)');
const timerfdSettime = libc<(fd: number, flags: number, value: Uint8Array, old: null) => number>(
  'int timerfd_settime(int, int, const void *, void *)',
);

/**
 * A time in milliseconds as the seconds and nanoseconds of a struct timespec, rounded up, so that a timer set to it is never
 * early. Below zero is zero; more than 2⁵³ − 1 is that much.
 * @throws RangeError for NaN
 */
export function toTimespec(milliseconds: number): [seconds: bigint, nanoseconds: bigint] {
  checkTime('milliseconds', milliseconds);
  const time = Math.min(Math.max(milliseconds, 0), Number.MAX_SAFE_INTEGER);
  const seconds = Math.floor(time / 1e3);
  const nanoseconds = Math.ceil((time - seconds * 1e3) * 1e6);
  return nanoseconds < 1e9 ? [BigInt(seconds), BigInt(nanoseconds)] : [BigInt(seconds + 1), 0n];
}

const itimerspec = allocate(32);
const value = new BigInt64Array(itimerspec.buffer, itimerspec.byteOffset, 4);
const expirations = allocate(8);

/** One kernel timer on one clock, readable once it expired. timerfd_create(2). */
export class TimerFd implements Disposable {
  readonly #fd: Fd;
  readonly #flags: number;

  /** @throws EPERM for an alarm clock without CAP_WAKE_ALARM */
  constructor(readonly clock: Clock) {
    checkClock(clock);
    this.#fd = new Fd(check(timerfdCreate(CLOCKS[clock], TFD_CLOEXEC | TFD_NONBLOCK), 'timerfd_create', clock));
    const settable = clock === 'realtime' || clock === 'realtime-alarm';
    this.#flags = TFD_TIMER_ABSTIME | (settable ? TFD_TIMER_CANCEL_ON_SET : 0);
  }

  get fd(): number {
    return this.#fd.number;
  }

  /**
   * Sets the time at which it expires, in milliseconds on its clock (rounded up to the next nanosecond, so that it never fires
   * early); Infinity disarms it. A time in the past expires at once. timerfd_settime(2).
   * @throws RangeError for NaN
   */
  arm(at: number): void {
    checkTime('at', at);
    if (at === Number.POSITIVE_INFINITY) {
      value[2] = value[3] = 0n;
    } else {
      const [seconds, nanoseconds] = toTimespec(at);
      value[2] = seconds;
      // Zero would disarm.
      value[3] = seconds === 0n && nanoseconds === 0n ? 1n : nanoseconds;
    }
    if (timerfdSettime(this.fd, this.#flags, itimerspec, null) === -1) {
      const error = SystemError.last('timerfd_settime', this.clock);
      // The clock was set since the last read: the kernel says so, but has armed the timer all the same.
      if (error.code !== 'ECANCELED') throw error;
    }
  }

  /** Takes note of an expiry, so that the descriptor is no longer readable. */
  acknowledge(): void {
    try {
      read(this.fd, expirations);
    } catch (error) {
      // The clock was set: whoever keeps the timers looks at the new time, as after an expiry.
      if (!isSystemError(error, 'ECANCELED')) throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}

/** Infinities are times, too: never, and long ago. */
function checkTime(name: string, value: unknown): void {
  if (typeof value !== 'number') throw wrongKind(name, 'a number of milliseconds', value);
  if (Number.isNaN(value)) throw outOfRange(name, 'a number of milliseconds', value);
}
