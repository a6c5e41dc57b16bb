import { existsSync } from 'node:fs';
import { allocate, CAP_SYS_TIME, check, hasCapability, libc } from '@sdrx/linux';

const CLOCK_REALTIME = 0;
const ADJ_SETOFFSET = 0x0100;

// struct timex, alike on x86-64 and arm64.
const TIMEX_SIZE = 208;
const TIMEX_SECONDS = 72;

const clockAdjtime = libc<(clock: number, timex: Uint8Array) => number>('int clock_adjtime(int, void *)');

/** Options for a test that sets the system's clock, which takes a privilege and nobody who acts on it. */
export const needsSettableClock = cannotSetClock() ?? {};

function cannotSetClock(): { readonly skip: string } | undefined {
  if (existsSync('/run/systemd/system')) {
    return { skip: 'the clock is not set: systemd would start what is due by calendar; run the tests in a container' };
  }
  if (hasCapability(CAP_SYS_TIME)) return undefined;
  return { skip: 'the clock is not set: this process lacks CAP_SYS_TIME' };
}

/**
 * Calls `body` while the system's realtime clock is off by some seconds. That is the whole machine's: so `body` must not take
 * longer than a few milliseconds, whatever fails. The clock is moved by an offset, hence it is afterwards what it would
 * have been. clock_adjtime(2) ADJ_SETOFFSET.
 */
export async function withClockShifted(seconds: number, body: () => Promise<void> | void): Promise<void> {
  shift(seconds);
  try {
    await body();
  } finally {
    shift(-seconds);
  }
}

function shift(seconds: number): void {
  const timex = allocate(TIMEX_SIZE);
  timex.writeUInt32LE(ADJ_SETOFFSET, 0);
  timex.writeBigInt64LE(BigInt(seconds), TIMEX_SECONDS);
  check(clockAdjtime(CLOCK_REALTIME, timex), 'clock_adjtime');
}
