import { checkBoolean, checkChoice, checkFd, checkInteger, checkNumber, checkText } from '../arguments.js';
import {
  EAGAIN,
  ECONNABORTED,
  EINPROGRESS,
  EINTR,
  EINVAL,
  EMSGSIZE,
  ENODATA,
  ENOPROTOOPT,
  EPERM,
  EPROTO,
  ESRCH,
} from '../error/errno.js';
import { check, isSystemError, SystemError } from '../error/system-error.js';
import { descriptorCall, descriptorPair, descriptorPairCall } from '../fd/descriptor-call.js';
import { Fd, isOpen } from '../fd/fd.js';
import { cString } from '../ffi/c-string.js';
import { allocate, errno, libc } from '../ffi/libc.js';

export const AF_UNIX = 1;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_SEQPACKET = 5;

const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SO_ERROR = 4;
const SO_SNDBUF = 7;
const SO_PASSCRED = 16;
const SO_RCVTIMEO = 20;
const SO_PEERCRED = 17;
const SO_ACCEPTCONN = 30;
const SO_SNDBUFFORCE = 32;
const SO_DOMAIN = 39;
const SO_PEERPIDFD = 77;
const SO_COOKIE = 57;
const SUN_PATH_SIZE = 108;

const socketCall =
  descriptorCall<(domain: number, type: number, protocol: number) => number>('int socket(int, int, int)');
const socketpairCall = descriptorPairCall<(domain: number, type: number, protocol: number, fds: Int32Array) => number>(
  'int socketpair(int, int, int, void *)',
);
const bindCall = libc<(fd: number, address: Uint8Array, size: number) => number>('int bind(int, const void *, uint)');
const connectCall = libc<(fd: number, address: Uint8Array, size: number) => number>(
  'int connect(int, const void *, uint)',
);
const listenCall = libc<(fd: number, backlog: number) => number>('int listen(int, int)');
const accept4 = descriptorCall<(fd: number, address: null, size: null, flags: number) => number>(
  'int accept4(int, void *, void *, int)',
);
const getsockopt = libc<(fd: number, level: number, name: number, value: Uint8Array, size: Uint8Array) => number>(
  'int getsockopt(int, int, int, void *, void *)',
);
const setsockopt = libc<(fd: number, level: number, name: number, value: Uint8Array, size: number) => number>(
  'int setsockopt(int, int, int, const void *, uint)',
);

const shutdownCall = libc<(fd: number, how: number) => number>('int shutdown(int, int)');
const ioctl = libc<(fd: number, request: number, answer: Uint8Array) => number>('int ioctl(int, ulong, void *)');

const SHUT_RD = 0;
const SHUT_RDWR = 2;
const SIOCINQ = 0x541b;
const SIOCOUTQ = 0x5411;

const option = allocate(12);
const optionSize = allocate(4);

/** Who is at the other end of a connected AF_UNIX socket, as of its connect(2) or listen(2). unix(7) SO_PEERCRED. */
export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/**
 * How long a read from a socket that blocks waits at most, in milliseconds; then there is nothing, as with one that does not
 * block. socket(7) SO_RCVTIMEO.
 * @throws EBADF, ENOTSOCK
 */
export function setReceiveTimeout(fd: number, milliseconds: number): void {
  checkFd(fd);
  checkNumber('milliseconds', milliseconds, 0, Number.MAX_SAFE_INTEGER);
  const time = Buffer.alloc(16);
  time.writeBigInt64LE(BigInt(Math.floor(milliseconds / 1000)), 0);
  time.writeBigInt64LE(BigInt(Math.round((milliseconds % 1000) * 1000)), 8);
  check(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, time, time.length), 'setsockopt', fd);
}

/**
 * Makes room for so many bytes that were sent and not received, and for one datagram of nearly that size; without CAP_NET_ADMIN
 * for as many as net.core.wmem_max allows, twice. socket(7) SO_SNDBUF, SO_SNDBUFFORCE.
 * @throws EBADF, ENOTSOCK
 */
export function enlargeSendBuffer(fd: number, size: number): void {
  checkFd(fd);
  checkInteger('size', size, 0, 0x7fff_ffff);
  const value = Buffer.alloc(4);
  value.writeUInt32LE(size);
  check(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, value, 4), 'setsockopt', fd);
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, value, 4) === -1 && errno() !== EPERM) {
    throw SystemError.last('setsockopt', fd);
  }
}

/** What `unixSocket` and `socketPair` make. */
export type SocketType = typeof SOCK_STREAM | typeof SOCK_DGRAM | typeof SOCK_SEQPACKET;

/** A socket of the family AF_UNIX, close-on-exec and non-blocking. socket(2). */
export function unixSocket(type: SocketType = SOCK_STREAM): Fd {
  checkChoice('type', type, [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET]);
  return makeSocket(AF_UNIX, type | SOCK_NONBLOCK);
}

/** A socket, close-on-exec. @throws EAFNOSUPPORT, EPROTONOSUPPORT, EMFILE, ENFILE. socket(2) */
export function makeSocket(family: number, type: number, protocol = 0): Fd {
  checkFd(family, 'family');
  checkFd(type, 'type');
  checkFd(protocol, 'protocol');
  return new Fd(check(socketCall(family, type | SOCK_CLOEXEC, protocol), 'socket'));
}

/** Two connected sockets of the family AF_UNIX, close-on-exec and non-blocking. socketpair(2). */
export function socketPair(type: SocketType = SOCK_STREAM): [Fd, Fd] {
  checkChoice('type', type, [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET]);
  check(socketpairCall(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, descriptorPair), 'socketpair');
  return [new Fd(descriptorPair[0] as number), new Fd(descriptorPair[1] as number)];
}

/**
 * The sockaddr_un of a path, or of an abstract name if it begins with `@` (a path that does is written `./@…`). unix(7).
 * @throws errors that name the path: EMSGSIZE when it does not fit its 107 bytes, and EINVAL when it is empty (which would
 * be the abstract name without a byte) or a path with a NUL in it.
 */
export function unixAddress(path: string): Buffer {
  checkText('path', path);
  if (path === '') throw new SystemError(EINVAL, 'sockaddr_un', path);
  const abstract = path.startsWith('@');
  const bytes = Buffer.from(abstract ? `\0${path.slice(1)}` : `${cString(path, 'sockaddr_un')}\0`);
  if (bytes.length > SUN_PATH_SIZE) throw new SystemError(EMSGSIZE, 'sockaddr_un', path);
  const address = allocate(2 + bytes.length);
  address.writeUInt16LE(AF_UNIX, 0);
  bytes.copy(address, 2);
  return address;
}

/** Binds a socket to a path or `@abstract` name. bind(2). @throws EADDRINUSE, ENOENT, EACCES, and as `unixAddress` */
export function bind(fd: number, path: string): void {
  checkFd(fd);
  checkText('path', path);
  const address = unixAddress(path);
  check(bindCall(fd, address, address.length), 'bind', path);
}

/** Makes a socket accept connections; the kernel caps `backlog` at net.core.somaxconn. listen(2). */
export function listen(fd: number, backlog = 4096): void {
  checkFd(fd);
  checkFd(backlog, 'backlog');
  check(listenCall(fd, backlog), 'listen', fd);
}

/**
 * Connects to a path or `@abstract` name. connect(2).
 * @throws ENOENT, ECONNREFUSED, EACCES, EAGAIN when a non-blocking socket meets a full backlog, and as `unixAddress`
 */
export function connect(fd: number, path: string): void {
  checkFd(fd);
  checkText('path', path);
  const address = unixAddress(path);
  if (connectCall(fd, address, address.length) === -1 && errno() !== EINPROGRESS) {
    throw SystemError.last('connect', path);
  }
}

/**
 * Accepts a connection, close-on-exec and non-blocking. accept4(2).
 * @returns undefined when none waits, or the one that did is gone again
 * @throws EMFILE, ENFILE, ENOMEM
 */
export function accept(fd: number): Fd | undefined {
  checkFd(fd);
  for (;;) {
    const connection = accept4(fd, null, null, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection !== -1) return new Fd(connection);
    switch (errno()) {
      case EINTR:
        continue;
      case EAGAIN:
        return undefined;
      case ECONNABORTED:
      case EPROTO:
        continue;
      default:
        throw SystemError.last('accept4', fd);
    }
  }
}

/**
 * The number of a socket that no other one of its network namespace gets: 64 bits. SO_COOKIE
 * @throws ENOTSOCK, EBADF, ENOPROTOOPT before Linux 4.12
 */
export function socketCookie(fd: number): bigint {
  checkFd(fd);
  return socketOption(fd, SO_COOKIE).readBigUInt64LE(0);
}

/** socket(7) @throws ENOTSOCK, EBADF */
function socketOption(fd: number, name: number): Buffer {
  optionSize.writeUInt32LE(option.length);
  check(getsockopt(fd, SOL_SOCKET, name, option, optionSize), 'getsockopt', fd);
  return option;
}

/**
 * Who is at the other end; a `pid` of 0 means that it is outside our pid namespace, together with a `uid` of 2³² − 1 that there
 * is nobody (not connected, or not AF_UNIX).
 * @throws ENOTSOCK, EBADF
 */
export function peerCredentials(fd: number): PeerCredentials {
  checkFd(fd);
  const credentials = socketOption(fd, SO_PEERCRED);
  return { pid: credentials.readInt32LE(0), uid: credentials.readUInt32LE(4), gid: credentials.readUInt32LE(8) };
}

/**
 * A pidfd of the process that `peerCredentials` tells of, close-on-exec: of that process for certain, also if its id has been given
 * to another one since. unix(7) SO_PEERPIDFD.
 * @returns undefined on kernels before 6.5, which have none to give
 * @throws ESRCH when the process has ended and was reaped, or there is none; EMFILE, ENOTSOCK, EBADF
 */
export function peerPidfd(fd: number): Fd | undefined {
  checkFd(fd);
  optionSize.writeUInt32LE(4);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, option, optionSize) === 0) return new Fd(option.readInt32LE());
  const error = errno();
  if (error === ENOPROTOOPT) return undefined;
  // Kernels differ in how they say that it is gone.
  const gone = error === EINVAL || error === ENODATA;
  throw new SystemError(gone ? ESRCH : error, 'getsockopt', String(fd));
}

/** Lets every message tell who sent it: `ReceiveBuffer.sender`. unix(7) SO_PASSCRED. @throws ENOTSOCK, EBADF */
export function receiveSenders(fd: number): void {
  checkFd(fd);
  enableSocketOption(fd, SOL_SOCKET, SO_PASSCRED);
}

/** Turns an option on, or off. @throws ENOTSOCK, EBADF, ENOPROTOOPT where there is no such option. setsockopt(2) */
export function enableSocketOption(fd: number, level: number, name: number, on = true): void {
  checkFd(fd);
  checkFd(level, 'level');
  checkFd(name, 'name');
  checkBoolean('on', on);
  setSocketOption(fd, level, name, Number(on));
}

/**
 * Sets an option that is a number.
 * @throws ENOTSOCK, EBADF, ENOPROTOOPT where there is no such option, EINVAL. setsockopt(2)
 */
export function setSocketOption(fd: number, level: number, name: number, value: number): void {
  checkFd(fd);
  checkFd(level, 'level');
  checkFd(name, 'name');
  checkInteger('value', value, -0x8000_0000, 0x7fff_ffff);
  option.writeInt32LE(value);
  check(setsockopt(fd, level, name, option, 4), 'setsockopt', fd);
}

/** The numbers of a socket's family and type, and whether it listens. socket(7) @throws ENOTSOCK, EBADF */
export function socketProperties(fd: number): { domain: number; type: number; listening: boolean } {
  checkFd(fd);
  return {
    domain: socketOption(fd, SO_DOMAIN).readInt32LE(),
    type: socketOption(fd, SO_TYPE).readInt32LE(),
    listening: socketOption(fd, SO_ACCEPTCONN).readInt32LE() === 1,
  };
}

/** Whether `fd` is a listening stream socket of the family AF_UNIX; false for whatever else it may be. @throws EBADF */
export function isListeningUnixStream(fd: number): boolean {
  checkFd(fd);
  try {
    const { domain, type, listening } = socketProperties(fd);
    return domain === AF_UNIX && type === SOCK_STREAM && listening;
  } catch (error) {
    // An O_PATH descriptor answers EBADF, open as it is.
    if (isSystemError(error, 'ENOTSOCK') || (isSystemError(error, 'EBADF') && isOpen(fd))) return false;
    throw error;
  }
}

/** Takes the socket's pending error, a positive errno(3), 0 for none. socket(7) SO_ERROR. */
export function takeSocketError(fd: number): number {
  checkFd(fd);
  return socketOption(fd, SO_ERROR).readInt32LE();
}

/**
 * Ends a connection in both directions; what has arrived can still be read, nothing more arrives. shutdown(2).
 * @throws ENOTSOCK
 */
export function shutdown(fd: number): void {
  checkFd(fd);
  check(shutdownCall(fd, SHUT_RDWR), 'shutdown', fd);
}

/**
 * Ends a connection in the direction to this end: what has arrived can still be read, then its end. To send to it fails at the
 * other end, with EPIPE for a socket of the family AF_UNIX. shutdown(2).
 * @throws ENOTSOCK, ENOTCONN
 */
export function shutdownRead(fd: number): void {
  checkFd(fd);
  check(shutdownCall(fd, SHUT_RD), 'shutdown', fd);
}

/**
 * How many bytes a stream socket of the family AF_UNIX has received and not been asked for. unix(7) SIOCINQ.
 * @throws EINVAL for a listening one, EBADF
 */
export function unreadBytes(fd: number): number {
  checkFd(fd);
  check(ioctl(fd, SIOCINQ, option), 'ioctl(SIOCINQ)', fd);
  return option.readInt32LE();
}

/**
 * The memory of what a socket of the family AF_UNIX has sent and the other end has not taken, in bytes. unix(7) SIOCOUTQ.
 * @throws EBADF
 */
export function untakenBytes(fd: number): number {
  checkFd(fd);
  check(ioctl(fd, SIOCOUTQ, option), 'ioctl(SIOCOUTQ)', fd);
  return option.readInt32LE();
}
