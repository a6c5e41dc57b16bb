import { checkBoolean, checkInteger, checkObject, checkUint32 } from '../arguments.js';
import { EAGAIN } from '../error/errno.js';
import { check, SystemError } from '../error/system-error.js';
import { descriptorCall } from '../fd/descriptor-call.js';
import { Fd } from '../fd/fd.js';
import { addressOf, allocate, errno, libc } from '../ffi/libc.js';

const EFD_SEMAPHORE = 1;
const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;

const eventfdCall = descriptorCall<(initial: number, flags: number) => number>('int eventfd(uint, int)');
const readCounter = libc<(fd: number, counter: number) => number>('int eventfd_read(int, intptr_t)');
const writeCounter = libc<(fd: number, count: number) => number>('int eventfd_write(int, uint64_t)');

const counter = new Uint32Array(allocate(8).buffer);
const counterAddress = Number(addressOf(counter));

/**
 * A counter that is readable while it is not zero, close-on-exec and non-blocking. Reading takes its 8 bytes and resets it,
 * writing 8 bytes adds to it. eventfd(2).
 * @param initial 0 to 2³² − 1
 * @throws EMFILE
 */
export function eventfd(initial = 0): Fd {
  checkUint32('initial', initial);
  return new Fd(check(eventfdCall(initial, EFD_CLOEXEC | EFD_NONBLOCK), 'eventfd'));
}

/** An eventfd with the two things that one does with it. */
export class EventFd implements Disposable {
  readonly #fd: Fd;

  /**
   * @param initial 0 to 2³² − 1
   * @param options.semaphore whether `take` takes 1 at a time instead of everything
   * @throws EMFILE
   */
  constructor(initial = 0, options: { readonly semaphore?: boolean } = {}) {
    checkObject('options', options);
    const { semaphore = false } = options;
    checkUint32('initial', initial);
    checkBoolean('semaphore', semaphore);
    const flags = EFD_CLOEXEC | EFD_NONBLOCK | (semaphore ? EFD_SEMAPHORE : 0);
    this.#fd = new Fd(check(eventfdCall(initial, flags), 'eventfd'));
  }

  /** The descriptor's number, or −1 after it was closed. */
  get fd(): number {
    return this.#fd.number;
  }

  /**
   * Adds to the counter.
   * @param count an integer of 0 or more
   * @throws EAGAIN when the counter would exceed 2⁶⁴ − 2, EBADF
   */
  add(count = 1): void {
    checkInteger('count', count, 0);
    check(writeCounter(this.#fd.number, count), 'eventfd_write', this.#fd.number);
  }

  /** Takes what the counter has, and resets it; 0 when there is nothing. @throws EBADF */
  take(): number {
    if (readCounter(this.#fd.number, counterAddress) === 0)
      return (counter[0] as number) + (counter[1] as number) * 0x1_0000_0000;
    const error = errno();
    if (error === EAGAIN) return 0;
    throw new SystemError(error, 'eventfd_read', String(this.#fd.number));
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}
