import { checkFd } from '../arguments.js';
import { ESRCH } from '../error/errno.js';
import { SystemError } from '../error/system-error.js';
import { errno, libc } from '../ffi/libc.js';
import { type Signal, signalNumber } from '../signal/signal.js';

const SYS_PIDFD_SEND_SIGNAL = 424;
const PIDFD_SIGNAL_PROCESS_GROUP = 4;

const syscall = libc<(number: number, pidfd: number, signo: number, info: null, flags: number) => number>(
  'long syscall(long, long, long, void *, long)',
);

/**
 * Sends a signal to every process of the group whose leader `pidfd` stands for, also when the leader has ended and was reaped:
 * the group's number may be another one's by then, the pidfd is not. pidfd_send_signal(2) PIDFD_SIGNAL_PROCESS_GROUP, Linux 6.9.
 * @param signal 0 only looks whether the group has a process; one that ended counts until it is reaped
 * @returns false when it has none.
 * @throws EINVAL on an older kernel, EPERM when none of them may be sent a signal, EBADF
 */
export function pidfdSignalGroup(pidfd: number, signal: Signal | 0): boolean {
  checkFd(pidfd, 'pidfd');
  const signo = signal === 0 ? 0 : signalNumber(signal);
  if (syscall(SYS_PIDFD_SEND_SIGNAL, pidfd, signo, null, PIDFD_SIGNAL_PROCESS_GROUP) !== -1) return true;
  const error = errno();
  if (error === ESRCH) return false;
  throw new SystemError(error, 'pidfd_send_signal', String(pidfd));
}
