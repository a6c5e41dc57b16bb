import { checkFd, checkPid } from '../arguments.js';
import { EAGAIN, EINTR } from '../error/errno.js';
import { check, SystemError } from '../error/system-error.js';
import { descriptorCall } from '../fd/descriptor-call.js';
import { Fd } from '../fd/fd.js';
import { allocate, errno, libc } from '../ffi/libc.js';
import { type Signal, signalNumber } from '../signal/signal.js';

const SYS_PIDFD_SEND_SIGNAL = 424;
const SYS_PIDFD_OPEN = 434;
const P_PID = 1;
const P_PIDFD = 3;

/** Options of waitid(2). */
export const WNOHANG = 1;
export const WSTOPPED = 2;
export const WEXITED = 4;
export const WCONTINUED = 8;
export const WNOWAIT = 0x0100_0000;

const CHANGES = ['exited', 'killed', 'dumped', 'trapped', 'stopped', 'continued'] as const;

// The C library has no wrappers for these before 2.36; the numbers are the same on every architecture.
const syscall3 = descriptorCall<(number: number, a: number, b: number) => number>('long syscall(long, long, long)');
const syscall5 = libc<(number: number, a: number, b: number, c: null, d: number) => number>(
  'long syscall(long, long, long, void *, long)',
);
const waitidCall = libc<(type: number, id: number, info: Uint8Array, options: number) => number>(
  'int waitid(int, uint, void *, int)',
);

const siginfo = allocate(128);

/** What became of a child process (waitid(2)). */
export interface ChildChange {
  readonly pid: number;
  readonly code: (typeof CHANGES)[number];
  /** The exit status (0 to 255) of one that exited, else the signal's number. */
  readonly status: number;
}

/** A descriptor for a process, close-on-exec, readable once the process ended. pidfd_open(2). @throws ESRCH, EMFILE */
export function pidfdOpen(pid: number): Fd {
  checkPid(pid);
  return new Fd(check(syscall3(SYS_PIDFD_OPEN, pid, 0), 'pidfd_open', pid));
}

/**
 * Sends a signal to exactly the process that `pidfd` stands for. pidfd_send_signal(2).
 * @throws ESRCH once it ended and was reaped, EPERM, EBADF
 */
export function pidfdSendSignal(pidfd: number, signal: Signal): void {
  checkFd(pidfd, 'pidfd');
  check(syscall5(SYS_PIDFD_SEND_SIGNAL, pidfd, signalNumber(signal), null, 0), 'pidfd_send_signal', pidfd);
}

/**
 * Looks for a change of the child that `pidfd` stands for, and takes it (WNOWAIT: leaves it). waitid(2).
 * @param options WEXITED, WSTOPPED, WCONTINUED, with WNOHANG and WNOWAIT
 * @returns undefined when there is none.
 * @throws ECHILD when it is no child of ours or was already reaped
 */
export function waitPidfd(pidfd: number, options: number): ChildChange | undefined {
  checkFd(pidfd, 'pidfd');
  checkFd(options, 'options');
  return wait(P_PIDFD, pidfd, options);
}

/** As `waitPidfd`, by the id of a child, which is certain to be the one meant until it is reaped. */
export function waitPid(pid: number, options: number): ChildChange | undefined {
  checkPid(pid);
  checkFd(options, 'options');
  return wait(P_PID, pid, options);
}

function wait(type: number, id: number, options: number): ChildChange | undefined {
  siginfo.writeInt32LE(0, 16);
  while (waitidCall(type, id, siginfo, options) === -1) {
    const error = errno();
    if (error === EAGAIN) return undefined;
    if (error !== EINTR) throw new SystemError(error, 'waitid', String(id));
  }
  const pid = siginfo.readInt32LE(16);
  const code = CHANGES[siginfo.readInt32LE(8) - 1];
  return pid === 0 || code === undefined ? undefined : { pid, code, status: siginfo.readInt32LE(24) };
}
