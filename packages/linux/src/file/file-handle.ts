import { checkBytes, checkFd } from '../arguments.js';
import { check } from '../error/system-error.js';
import { descriptorCall } from '../fd/descriptor-call.js';
import { Fd } from '../fd/fd.js';
import { allocate } from '../ffi/libc.js';

const O_CLOEXEC = 0o2000000;

const openByHandleAt = descriptorCall<(mount: number, handle: Uint8Array, flags: number) => number>(
  'int open_by_handle_at(int, void *, int)',
);

/**
 * Opens a file by the handle that its file system knows it by, without holding it until then. open_by_handle_at(2).
 * @param mount an fd on the file system, or one of the kernel's constants for those without a mount
 * @param type the file system's own number for the kind of handle
 * @param bytes the handle
 * @throws ESTALE when the file is gone, EPERM without CAP_DAC_READ_SEARCH, EBADF and EOPNOTSUPP on kernels without support
 */
export function openByHandle(mount: number, type: number, bytes: Uint8Array, flags = 0): Fd {
  checkFd(mount, 'mount');
  checkFd(type, 'type');
  checkBytes('bytes', bytes);
  checkFd(flags, 'flags');
  const handle = allocate(8 + bytes.byteLength);
  handle.writeUInt32LE(bytes.byteLength, 0);
  handle.writeInt32LE(type, 4);
  handle.set(bytes, 8);
  return new Fd(check(openByHandleAt(mount, handle, flags | O_CLOEXEC), 'open_by_handle_at'));
}
