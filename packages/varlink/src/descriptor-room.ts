import { descriptorLimit, eventfd, MAX_PASSED_FDS } from '@sdrx/linux';

/**
 * Descriptors that no connection may take: room for what comes with a message, which the kernel would drop, in our thread,
 * if it found none, and for what handlers open.
 */
const RESERVE = 2 * MAX_PASSED_FDS + 64;

/** Whether there is room for what messages bring when a new connection has this number. */
export function hasRoomForConnection(number: number): boolean {
  return number < lineOf(RESERVE);
}

/** Whether there is room for what the next message brings when the last descriptor of one has this number. */
export function hasRoomForMessage(number: number): boolean {
  return number < lineOf(MAX_PASSED_FDS);
}

/** Whether a new connection would leave room; where there is no reserve, the kernel says. */
export function mayAcceptAgain(): boolean {
  const line = lineOf(RESERVE);
  return line === Number.POSITIVE_INFINITY || lowestFree() < line;
}

/**
 * Descriptors with a number from this one on belong to the last `reserve` that this process may have: as the kernel gives the
 * lowest number that is free, all below are taken. Infinity where there are so few that a reserve would leave none.
 */
function lineOf(reserve: number): number {
  const limit = descriptorLimit();
  return limit < 2 * RESERVE ? Number.POSITIVE_INFINITY : limit - reserve;
}

/** The number that the next descriptor gets; Infinity when there is none. */
function lowestFree(): number {
  try {
    using next = eventfd();
    return next.number;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
