import { checkFd, checkFds } from '../arguments.js';
import { isSystemError, SystemError } from '../error/system-error.js';
import { closeFunction } from '../fd/descriptor-call.js';
import { isOpen } from '../fd/fd.js';
import { allocate, libc } from '../ffi/libc.js';
import { SIGRTMAX, signalSet } from '../signal/signal.js';
import { performanceNow } from '../time/at-load.js';
import { type Address, functionAddress, threadEnd } from './thread-end.js';

const ATTRIBUTES_SIZE = 64;
const SIG_SETMASK = 2;

/** In bytes. The thread runs one function of the C library, which needs next to nothing. */
const STACK_SIZE = 64 * 1024;

/** How long to wait for the numbers in all, and between two looks, in milliseconds. */
const PATIENCE = 1000;
const PAUSE = 0.02;

const attributesInit = libc<(attributes: Uint8Array) => number>('int pthread_attr_init(void *)');
const setStackSize = libc<(attributes: Uint8Array, size: number) => number>(
  'int pthread_attr_setstacksize(void *, size_t)',
);
const setSignalMask = libc<(how: number, set: Uint8Array, old: Uint8Array | null) => number>(
  'int pthread_sigmask(int, const void *, void *)',
);
const create = libc<(thread: Uint8Array, attributes: Uint8Array, start: number | bigint, argument: number) => number>(
  'int pthread_create(void *, const void *, intptr_t, intptr_t)',
);
const tryJoin = libc<(thread: bigint, result: null) => number>('int pthread_tryjoin_np(intptr_t, void *)');

let attributes: Buffer | undefined;
let startFunction: Address;
/** Of the C library: what the end of our own thread calls for one that nobody waits for any more. */
const detachFunction = threadEnd === undefined ? 0 : functionAddress('pthread_detach');
// A thread that hangs must not be the one that the kernel hands a signal to.
const allSignals = signalSet(...Array.from({ length: SIGRTMAX }, (_, index) => index + 1));
const ownMask = signalSet();
const thread = allocate(8);
const threads = new BigInt64Array(thread.buffer, thread.byteOffset, 1);
const never = new Int32Array(new SharedArrayBuffer(4));

/** A thread that closes one descriptor. */
export class ClosingThread {
  readonly #thread: bigint;
  #ended = false;

  /** @throws EAGAIN when there may be no more threads */
  constructor(fd: number) {
    checkFd(fd);
    attributes ??= makeAttributes();
    setSignalMask(SIG_SETMASK, allSignals, ownMask);
    threadEnd?.remove(threadEnd.isolate, closeFunction, fd);
    const error = create(thread, attributes, startFunction, fd);
    if (error === 0) threadEnd?.add(threadEnd.isolate, detachFunction, threads[0] as bigint);
    else threadEnd?.add(threadEnd.isolate, closeFunction, fd);
    setSignalMask(SIG_SETMASK, ownMask, null);
    if (error !== 0) throw new SystemError(error, 'pthread_create', String(fd));
    this.#thread = threads[0] as bigint;
  }

  /** Whether the descriptor is closed. What the thread held is given back when this is asked for the first time after. */
  get ended(): boolean {
    if (!this.#ended && tryJoin(this.#thread, null) === 0) {
      threadEnd?.remove(threadEnd.isolate, detachFunction, this.#thread);
      this.#ended = true;
    }
    return this.#ended;
  }
}

/**
 * Closes descriptors, each in a thread of its own. close(2) may never return: of a TCP socket that lingers, of a file whose
 * file system does not answer (FUSE, NFS). Only its thread waits then. The thread's function is the C library's close
 * itself, so no thread of Node's pool, of which there are four, is taken, and the end of the process does not wait for it;
 * but a process whose thread the kernel does not let go (state D) stays a zombie until it does. pthread_create(3)
 *
 * Returns when the numbers are free, which each close begins with. So a process that is started next inherits none of them,
 * and does not hang in turn.
 * @returns a thread for each; fewer when there may be no more threads, then the last descriptors stay the caller's
 */
export function closeInThreads(fds: readonly number[]): ClosingThread[] {
  checkFds('fds', fds);
  const threads: ClosingThread[] = [];
  try {
    for (const fd of fds) threads.push(new ClosingThread(fd));
  } catch (error) {
    if (!isSystemError(error, 'EAGAIN', 'ENOMEM')) throw error;
  }
  const end = performanceNow() + PATIENCE;
  for (let index = 0; index < threads.length && performanceNow() < end; ) {
    if (isOpen(fds[index] as number)) Atomics.wait(never, 0, 0, PAUSE);
    else index++;
  }
  return threads;
}

function makeAttributes(): Buffer {
  startFunction = functionAddress('close');
  const memory = allocate(ATTRIBUTES_SIZE);
  attributesInit(memory);
  setStackSize(memory, STACK_SIZE);
  return memory;
}
