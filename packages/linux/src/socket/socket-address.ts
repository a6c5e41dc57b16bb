import { isIP } from 'node:net';
import { checkBytes, checkChoice, checkFd, checkInteger, checkObject, checkText, checkUint32 } from '../arguments.js';
import { EINPROGRESS, EINVAL } from '../error/errno.js';
import { check, SystemError } from '../error/system-error.js';
import { allocate, errno, libc } from '../ffi/libc.js';
import { AF_UNIX, unixAddress } from './socket.js';

export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_VSOCK = 40;

/** As large as any: sockaddr_storage of socket(7). */
const ADDRESS_SIZE = 128;

const ptonCall = libc<(family: number, text: string, bytes: Uint8Array) => number>(
  'int inet_pton(int, const char *, void *)',
);
const ntopCall = libc<(family: number, bytes: Uint8Array, text: Uint8Array, size: number) => unknown>(
  'intptr_t inet_ntop(int, const void *, void *, uint)',
);
type AddressOf = (fd: number, address: Uint8Array, size: Uint8Array) => number;
const getsockname = libc<AddressOf>('int getsockname(int, void *, void *)');
const getpeername = libc<AddressOf>('int getpeername(int, void *, void *)');
const bindCall = libc<(fd: number, address: Uint8Array, size: number) => number>('int bind(int, const void *, uint)');
const connectCall = libc<(fd: number, address: Uint8Array, size: number) => number>(
  'int connect(int, const void *, uint)',
);
const nameToIndex = libc<(name: string) => number>('uint if_nametoindex(const char *)');

const storage = allocate(ADDRESS_SIZE);
const size = allocate(4);

/** unix(7). Without a path it has no name. */
export interface UnixAddress {
  readonly family: 'unix';
  /** A path, or an abstract name behind `@`. */
  readonly path?: string;
}

/** ip(7), ipv6(7) */
export interface InetAddress {
  readonly family: 'inet' | 'inet6';
  /** The address as text; of a link-local one of IPv6 with its interface, `fe80::1%eth0` or `fe80::1%2`. */
  readonly host: string;
  readonly port: number;
}

/** vsock(7) */
export interface VsockAddress {
  readonly family: 'vsock';
  readonly cid: number;
  readonly port: number;
}

/** A socket's address, of a family that is known here. */
export type SocketAddress = UnixAddress | InetAddress | VsockAddress;

/**
 * The sockaddr of an address.
 * @throws EINVAL, named after the address, for a host that is none of the family, and as `unixAddress`; ENODEV for an interface
 * that is not there
 */
export function encodeAddress(address: SocketAddress): Buffer {
  checkAddress(address);
  switch (address.family) {
    case 'unix':
      return address.path === undefined ? Buffer.from([AF_UNIX, 0]) : unixAddress(address.path);
    case 'inet':
      return encodeInet(address);
    case 'inet6':
      return encodeInet6(address);
    case 'vsock': {
      const bytes = allocate(16);
      bytes.writeUInt16LE(AF_VSOCK, 0);
      bytes.writeUInt32LE(address.port, 4);
      bytes.writeUInt32LE(address.cid, 8);
      return bytes;
    }
  }
}

/** Reads a sockaddr. @returns undefined for one of another family */
export function decodeAddress(bytes: Uint8Array): SocketAddress | undefined {
  checkBytes('bytes', bytes);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const family = buffer.length < 2 ? 0 : buffer.readUInt16LE(0);
  switch (family) {
    case AF_UNIX:
      return decodeUnix(buffer.subarray(2));
    case AF_INET:
      return { family: 'inet', host: textOf(AF_INET, buffer.subarray(4, 8)), port: buffer.readUInt16BE(2) };
    case AF_INET6: {
      const scope = buffer.readUInt32LE(24);
      const host = textOf(AF_INET6, buffer.subarray(8, 24));
      return { family: 'inet6', host: scope === 0 ? host : `${host}%${scope}`, port: buffer.readUInt16BE(2) };
    }
    case AF_VSOCK:
      return { family: 'vsock', port: buffer.readUInt32LE(4), cid: buffer.readUInt32LE(8) };
    default:
      return undefined;
  }
}

/** The address that a socket is bound to. getsockname(2). @throws EBADF, ENOTSOCK */
export function localAddress(fd: number): SocketAddress | undefined {
  return ask(getsockname, 'getsockname', fd);
}

/** The address of a socket's other end. getpeername(2). @throws ENOTCONN, EBADF, ENOTSOCK */
export function peerAddress(fd: number): SocketAddress | undefined {
  return ask(getpeername, 'getpeername', fd);
}

/** Binds a socket. bind(2). @throws EADDRINUSE, EADDRNOTAVAIL, EACCES, ENOENT, and as `encodeAddress` */
export function bindAddress(fd: number, address: SocketAddress): void {
  checkFd(fd);
  const bytes = encodeAddress(address);
  // Before the call: what makes garbage may change errno.
  const name = formatAddress(address);
  check(bindCall(fd, bytes, bytes.length), 'bind', name);
}

/**
 * Connects a socket. With one that does not block this may only begin: it can be written to when it is done, and how it went is
 * `takeSocketError`, or what writing fails with. connect(2).
 * @throws ECONNREFUSED, ENETUNREACH, ENOENT, EACCES, EAGAIN when a non-blocking socket of the family AF_UNIX meets a full
 * backlog, and as `encodeAddress`
 */
export function connectAddress(fd: number, address: SocketAddress): void {
  checkFd(fd);
  const bytes = encodeAddress(address);
  if (connectCall(fd, bytes, bytes.length) !== -1) return;
  // First of all: the rest may make garbage.
  const error = errno();
  if (error !== EINPROGRESS) throw new SystemError(error, 'connect', formatAddress(address));
}

/** As people write it: a path, `@name`, `127.0.0.1:80`, `[::1]:80`, `vsock:2:80`. */
export function formatAddress(address: SocketAddress): string {
  checkAddress(address);
  switch (address.family) {
    case 'unix':
      return address.path ?? 'unnamed';
    case 'inet':
      return `${address.host}:${address.port}`;
    case 'inet6':
      return `[${address.host}]:${address.port}`;
    case 'vsock':
      return `vsock:${address.cid}:${address.port}`;
  }
}

function checkAddress(address: SocketAddress): void {
  checkObject('address', address);
  checkChoice('address.family', address.family, ['unix', 'inet', 'inet6', 'vsock']);
  switch (address.family) {
    case 'unix':
      if (address.path !== undefined) checkText('address.path', address.path);
      break;
    case 'vsock':
      checkUint32('address.cid', address.cid);
      checkUint32('address.port', address.port);
      break;
    default:
      checkText('address.host', address.host);
      checkInteger('address.port', address.port, 0, 0xffff);
  }
}

function ask(call: AddressOf, name: string, fd: number): SocketAddress | undefined {
  checkFd(fd);
  size.writeUInt32LE(ADDRESS_SIZE);
  check(call(fd, storage, size), name, fd);
  return decodeAddress(Buffer.from(storage.subarray(0, size.readUInt32LE(0))));
}

function encodeInet(address: InetAddress): Buffer {
  const bytes = allocate(16);
  bytes.writeUInt16LE(AF_INET, 0);
  bytes.writeUInt16BE(address.port, 2);
  if (isIP(address.host) !== 4) throw new SystemError(EINVAL, 'sockaddr_in', formatAddress(address));
  ptonCall(AF_INET, address.host, bytes.subarray(4));
  return bytes;
}

function encodeInet6(address: InetAddress): Buffer {
  const bytes = allocate(28);
  const [host = '', scope] = address.host.split('%');
  if (isIP(host) !== 6) throw new SystemError(EINVAL, 'sockaddr_in6', formatAddress(address));
  bytes.writeUInt16LE(AF_INET6, 0);
  bytes.writeUInt16BE(address.port, 2);
  ptonCall(AF_INET6, host, bytes.subarray(8));
  if (scope !== undefined) bytes.writeUInt32LE(scopeOf(scope), 24);
  return bytes;
}

function scopeOf(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  const index = text.includes('\0') ? 0 : nameToIndex(text);
  if (index === 0) throw SystemError.last('if_nametoindex', text);
  return index;
}

/** A path ends with a NUL or its bytes, an abstract name with the latter. */
function decodeUnix(bytes: Buffer): UnixAddress {
  if (bytes.length === 0) return { family: 'unix' };
  if (bytes[0] === 0)
    return bytes.length === 1 ? { family: 'unix' } : { family: 'unix', path: `@${bytes.subarray(1)}` };
  const end = bytes.indexOf(0);
  return { family: 'unix', path: bytes.toString('utf8', 0, end === -1 ? undefined : end) };
}

function textOf(family: number, bytes: Uint8Array): string {
  const text = allocate(64);
  ntopCall(family, bytes, text, text.length);
  return text.toString('latin1', 0, text.indexOf(0));
}
