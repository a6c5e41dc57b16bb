import { EIO, isSystemError, SystemError } from '@sdrx/linux';
import { systemdService } from './service-interface.js';
import { VarlinkError } from './varlink-error.js';

/** The error reply for what a handler threw: a VarlinkError itself, a system call's failure by its errno, else EIO. */
export function asVarlinkError(thrown: unknown): VarlinkError {
  if (thrown instanceof VarlinkError) return thrown;
  if (isSystemError(thrown) && typeof thrown.errno === 'number' && thrown.errno !== 0) {
    return systemFailure(Math.abs(thrown.errno), thrown.code);
  }
  return systemFailure(EIO);
}

/** `io.systemd.System` for an errno(3), a positive number. */
export function systemFailure(errno: number, errnoName?: string): VarlinkError {
  const name = errnoName ?? new SystemError(errno, 'varlink').code;
  return systemdService.errors.System({ origin: 'linux', errnoName: name, errno });
}
