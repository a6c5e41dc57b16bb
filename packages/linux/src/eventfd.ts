import { Fd } from './fd.js';
import { libc } from './libc.js';
import { check } from './system-error.js';

const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;

const eventfdCall = libc<(initial: number, flags: number) => number>('int eventfd(uint, int)');

/**
 * A counter that is readable while it is not zero, close-on-exec and non-blocking. Reading takes its 8 bytes and resets it,
 * writing 8 bytes adds to it. eventfd(2). Throws EMFILE.
 * @param initial 0 to 2³² − 1
 */
export function eventfd(initial = 0): Fd {
  return new Fd(check(eventfdCall(initial, EFD_CLOEXEC | EFD_NONBLOCK), 'eventfd'));
}
