import { checkFd, checkInteger, checkText, checkUint32 } from '../arguments.js';
import { ERANGE } from '../error/errno.js';
import { check, SystemError } from '../error/system-error.js';
import type { Fd } from '../fd/fd.js';
import { cString } from '../ffi/c-string.js';
import { allocate, libc } from '../ffi/libc.js';
import { openFile } from '../file/open-file.js';
import { readText } from './netlink-attribute.js';
import { INTERFACE_NAME_MAX } from './rtnetlink.js';

/** What kind of interface it is: of IP packets, or of Ethernet frames. */
export const IFF_TUN = 0x0001;
export const IFF_TAP = 0x0002;
/** Nothing comes before a packet; else four bytes tell flags and protocol. */
export const IFF_NO_PI = 0x1000;
/** A `struct virtio_net_hdr` comes before each packet. */
export const IFF_VNET_HDR = 0x4000;
/** The interface must be a new one. */
export const IFF_TUN_EXCL = 0x8000;

const O_RDWR = 2;
const TUNSETIFF = 0x4004_54ca;
const TUNSETOWNER = 0x4004_54cc;

// struct ifreq of netdevice(7): the name, then a union, of which only the flags are used here.
const REQUEST_SIZE = 40;
const FLAGS_AT = INTERFACE_NAME_MAX + 1;

const SET_INTERFACE = 'int ioctl(int, ulong, void *)';
const setInterface = libc<(fd: number, request: number, argument: Uint8Array) => number>(SET_INTERFACE);
const setInterfaceInThread = libc<
  (fd: number, request: number, argument: Uint8Array, done: (error: Error | null, result: number) => void) => void
>(SET_INTERFACE, 'async');
const setOwner = libc<(fd: number, request: number, uid: number) => number>('int ioctl(int, ulong, ulong)');

/**
 * Opens /dev/net/tun, blocking. What is made by it belongs to the network namespace that we are in now. The kernel's document
 * networking/tuntap.
 * @throws ENOENT where there is no such device, ENODEV or ENXIO where the kernel has no driver for it, EACCES, EPERM, EMFILE
 */
export function openTun(): Fd {
  return openFile('/dev/net/tun', O_RDWR);
}

/**
 * Makes an interface that is down, or attaches to one that is there, has nobody else and was made persistent. It is there as long as
 * the open file is, which reads what is sent through the interface and writes what comes in by it. TUNSETIFF.
 * @param fd of `openTun`, attached to nothing yet
 * @param name up to 15 bytes; in an empty one, or one with `%d`, the kernel puts a number that is free
 * @param flags IFF_TUN or IFF_TAP, and any others of this file, 16 bits
 * @returns its name
 * @throws EBUSY when it has somebody already, or is there and was to be new, EINVAL for another kind of interface or a name that
 * can't be, EEXIST when `fd` is attached, ERANGE for a name that is too long, EPERM, EBADF
 */
export function attachTun(fd: number, name: string, flags: number): string {
  const request = interfaceRequest(fd, name, flags);
  check(setInterface(fd, TUNSETIFF, request), 'ioctl(TUNSETIFF)', name);
  return readText(request.subarray(0, FLAGS_AT));
}

/**
 * The same in a thread: it may have to wait for what others have done with their interfaces. Close the descriptor only when it is
 * done.
 */
export async function attachTunInThread(fd: number, name: string, flags: number): Promise<string> {
  const request = interfaceRequest(fd, name, flags);
  const result = await new Promise<number>((resolve, reject) => {
    setInterfaceInThread(fd, TUNSETIFF, request, (error, value) => (error === null ? resolve(value) : reject(error)));
  });
  // Why it failed is known where errno is: here, once more.
  if (result === -1) return attachTun(fd, name, flags);
  return readText(request.subarray(0, FLAGS_AT));
}

/**
 * Lets one user more attach to the interface, beside who has CAP_NET_ADMIN in its network namespace. TUNSETOWNER.
 * @param fd attached to it
 * @param uid the user's id in our user namespace
 * @throws EINVAL for a user who is not mapped there, EBADFD when `fd` is attached to nothing, EBADF
 */
export function setTunOwner(fd: number, uid: number): void {
  checkFd(fd);
  checkUint32('uid', uid);
  check(setOwner(fd, TUNSETOWNER, uid), 'ioctl(TUNSETOWNER)', fd);
}

function interfaceRequest(fd: number, name: string, flags: number): Buffer {
  checkFd(fd);
  checkText('name', name);
  checkInteger('flags', flags, 0, 0xffff);
  const bytes = Buffer.from(cString(name, 'ioctl(TUNSETIFF)'));
  if (bytes.length > INTERFACE_NAME_MAX) throw new SystemError(ERANGE, 'ioctl(TUNSETIFF)', name);
  const request = allocate(REQUEST_SIZE);
  bytes.copy(request);
  request.writeUInt16LE(flags, FLAGS_AT);
  return request;
}
