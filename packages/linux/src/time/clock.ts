import { checkChoice } from '../arguments.js';
import { check } from '../error/system-error.js';
import { addressOf, allocate, libc } from '../ffi/libc.js';

/** The clocks of clock_gettime(2) that a timer can run on, by name and number. */
export const CLOCKS = {
  realtime: 0,
  monotonic: 1,
  boottime: 7,
  'realtime-alarm': 8,
  'boottime-alarm': 9,
} as const;

export type Clock = keyof typeof CLOCKS;

// An alarm clock is for timers: it can't be read on a machine without a clock that wakes it, and shows the same time.
const READABLE: Readonly<Record<Clock, number>> = {
  ...CLOCKS,
  'realtime-alarm': CLOCKS.realtime,
  'boottime-alarm': CLOCKS.boottime,
};

/** @throws RangeError or TypeError unless `clock` is one of `CLOCKS` */
export function checkClock(clock: unknown): void {
  checkChoice('clock', clock, Object.keys(CLOCKS));
}

const clockGettime = libc<(clock: number, time: number) => number>('int clock_gettime(int, intptr_t)');
const words = new Uint32Array(allocate(16).buffer);
const timespec = Number(addressOf(words));

/**
 * The clock's time in milliseconds with fractions: since 1970 for the realtime clocks, since boot for the others.
 * clock_gettime(2). A number holds today's realtime to a quarter of a microsecond, the others to a nanosecond or better.
 */
export function now(clock: Clock = 'monotonic'): number {
  const number: unknown = READABLE[clock];
  if (typeof number !== 'number') checkClock(clock);
  check(clockGettime(number as number, timespec), 'clock_gettime', clock);
  // By index: to take it apart goes through an iterator.
  const seconds = (words[1] as number) * 0x1_0000_0000 + (words[0] as number);
  return seconds * 1e3 + (words[2] as number) / 1e6;
}
