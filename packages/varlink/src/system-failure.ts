import { EIO, isSystemError, SystemError } from '@sdrx/linux';
import { requireText, shown } from './arguments.js';
import { systemdService } from './service-interface.js';
import { isVarlinkError, type VarlinkError } from './varlink-error.js';

/** The error reply for what a handler threw: a VarlinkError itself, a system call's failure by its errno, else EIO. */
export function asVarlinkError(thrown: unknown): VarlinkError {
  if (isVarlinkError(thrown)) return thrown;
  if (isSystemError(thrown) && typeof thrown.errno === 'number' && thrown.errno !== 0) {
    return systemFailure(Math.abs(thrown.errno), thrown.code);
  }
  return systemFailure(EIO);
}

/** `io.systemd.System` for an errno(3). @throws RangeError unless `errno` is a whole number from 1 to 4095 */
export function systemFailure(errno: number, errnoName?: string): VarlinkError {
  if (!Number.isInteger(errno) || errno < 1 || errno > 4095) {
    throw new RangeError(`\`errno\` must be a whole number from 1 to 4095, not ${shown(errno)}`);
  }
  if (errnoName !== undefined) requireText(errnoName, 'errnoName');
  const name = errnoName ?? new SystemError(errno, 'varlink').code;
  return systemdService.errors.System({ origin: 'linux', errnoName: name, errno });
}
