import { checkInteger } from '../arguments.js';
import { check } from '../error/system-error.js';
import { descriptorCall } from '../fd/descriptor-call.js';
import { Fd, read } from '../fd/fd.js';
import { allocate } from '../ffi/libc.js';
import { signalNumber, signalSet } from './signal.js';
import { originalCode } from './signal-forwarder.js';

const SFD_NONBLOCK = 0o4000;
const SFD_CLOEXEC = 0o2000000;
const SIZE = 128;
const BATCH = 64;

const signalfdCall = descriptorCall<(fd: number, set: Uint8Array, flags: number) => number>(
  'int signalfd(int, const void *, int)',
);

const buffer = allocate(SIZE * BATCH);
/** The same memory. It is looked at as numbers: to have a Buffer read each of them takes longer than the system call. */
const words = new Int32Array(buffer.buffer, buffer.byteOffset, buffer.byteLength / 4);

// Where struct signalfd_siginfo has what we tell, in words of 32 bits.
const WORDS = SIZE / 4;
const [SIGNO, ERRNO, CODE, PID, UID, INT] = [0, 1, 2, 3, 4, 11];

/**
 * A received signal, as siginfo_t has it (sigaction(2)), with the code it was sent with if it was forwarded. Whoever may
 * signal this process can make all of it up (rt_sigqueueinfo(2)).
 */
export interface SignalInfo {
  readonly signo: number;
  /** SI_* or the signal's own code: 0 kill(2), −1 sigqueue(3), −6 tgkill(2), > 0 from the kernel. */
  readonly code: number;
  /** The sender's process id, 0 if the kernel sent it. */
  readonly pid: number;
  /** The sender's real user id. */
  readonly uid: number;
  /** The integer that sigqueue(3) or a POSIX timer sent along, 32 bits signed; 0 without one. */
  readonly value: number;
}

const SIGCHLD = signalNumber('SIGCHLD');

/** Receives one signal, which the calling thread must have blocked. signalfd(2). */
export class SignalFd implements Disposable {
  readonly #fd: Fd;

  /** @throws EMFILE, ENFILE, ENOMEM; RangeError for a number that no signal set can hold */
  constructor(signo: number) {
    checkInteger('signo', signo, 1, 64);
    this.#fd = new Fd(check(signalfdCall(-1, signalSet(signo), SFD_NONBLOCK | SFD_CLOEXEC), 'signalfd', signo));
  }

  get fd(): number {
    return this.#fd.number;
  }

  /**
   * Takes what is pending, up to `limit` signals and 64, none if nothing is. Signals that were queued to the main thread itself come in
   * the order in which they were queued, forwarded ones need not.
   */
  read(limit = BATCH): SignalInfo[] {
    const size = read(this.fd, buffer, Math.min(limit, BATCH) * SIZE) ?? 0;
    const signals: SignalInfo[] = [];
    for (let at = 0; at < size / 4; at += WORDS) signals.push(infoAt(at));
    return signals;
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}

/** The signal that lies at a word of the memory. */
function infoAt(at: number): SignalInfo {
  const signo = wordAt(at + SIGNO);
  const code = originalCode(wordAt(at + CODE), wordAt(at + ERRNO));
  // Of a forwarded signal the kernel shows what lies where sigqueue(3) has these, whatever its code gives the place to.
  const sent = code <= 0 || signo === SIGCHLD;
  return {
    signo,
    code,
    pid: sent ? wordAt(at + PID) >>> 0 : 0,
    uid: sent ? wordAt(at + UID) >>> 0 : 0,
    value: code < 0 ? wordAt(at + INT) : 0,
  };
}

function wordAt(index: number): number {
  return words[index] as number;
}
