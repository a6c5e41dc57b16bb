import { chmodSync, chownSync, fchmodSync, lstatSync, renameSync, rmSync } from 'node:fs';
import { isIP } from 'node:net';
import {
  AF_INET,
  AF_INET6,
  bind,
  bindAddress,
  checkBoolean,
  checkChoice,
  checkInteger,
  checkObject,
  checkText,
  checkUint32,
  connect,
  EADDRINUSE,
  enableSocketOption,
  type Fd,
  isSystemError,
  listen,
  localAddress,
  makeSocket,
  O_NOFOLLOW,
  O_PATH,
  openFile,
  SOCK_DGRAM,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  type SocketAddress,
  SystemError,
  setNonBlocking,
  unixSocket,
} from '@sdrx/linux';
import type { UnixSocketType } from './listen-address.js';

const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_REUSEPORT = 15;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;

const INT_MAX = 0x7fff_ffff;

/** The kernel caps it at net.core.somaxconn. */
const BACKLOG = 4096;

const UNIX_TYPES = { stream: SOCK_STREAM, datagram: SOCK_DGRAM, seqpacket: SOCK_SEQPACKET } as const;

/** A socket of one's own that clients find by its address. */
export interface ListeningSocket extends Disposable {
  /** Closed with this object, unless it is taken. */
  readonly fd: Fd;
  /** Where clients find it. */
  readonly address: SocketAddress;
  /** Closes the descriptor and leaves its path: for who has passed the socket on. */
  leave(): void;
  /** Closes the descriptor and removes its path, unless that is somebody else's by now; the path also if the descriptor was taken. */
  [Symbol.dispose](): void;
}

/** Whose a path is. */
export interface PathOwner {
  /** The user's id. */
  readonly uid: number;
  /** The group's id. */
  readonly gid: number;
}

/** How `listenUnix` listens. */
export interface ListenUnixOptions {
  /** By default `stream`. */
  readonly type?: UnixSocketType;
  /** Of the path, by default 0o666. */
  readonly mode?: number;
  /** Of the path, by default those of this process. */
  readonly owner?: PathOwner;
  /** How many connections may wait, by default 4096; the kernel caps it at net.core.somaxconn. */
  readonly backlog?: number;
}

/** How `listenInet` listens. */
export interface ListenInetOptions {
  /** By default `stream`, which is TCP; `datagram` is UDP. */
  readonly type?: 'stream' | 'datagram';
  /** How many connections may wait, by default 4096; the kernel caps it at net.core.somaxconn. */
  readonly backlog?: number;
  /** Whether a socket of IPv6 is for that only; by default as net.ipv6.bindv6only says. ipv6(7) */
  readonly v6only?: boolean;
  /** Whether others of this user may bind the same address, too. socket(7) SO_REUSEPORT */
  readonly reusePort?: boolean;
}

/**
 * Listens at a path, or at an abstract name behind `@`; a datagram socket is bound there. What a service left behind that ended
 * without removing it is replaced, but only if to connect says that nobody listens: never the socket of one that serves.
 *
 * The path appears with its mode and owner; before, nobody but this user can connect. unix(7)
 * @throws EADDRINUSE where somebody listens, or something else lies; ENOENT, EACCES, EMSGSIZE for a path of more than 107 bytes
 */
export function listenUnix(path: string, options: ListenUnixOptions = {}): ListeningSocket {
  checkText('path', path);
  checkObject('options', options);
  const { type = 'stream', mode = 0o666, owner, backlog = BACKLOG } = options;
  checkChoice('type', type, Object.keys(UNIX_TYPES));
  checkInteger('mode', mode, 0, 0o7777);
  checkInteger('backlog', backlog, 0, INT_MAX);
  if (owner !== undefined) {
    checkObject('owner', owner);
    checkUint32('owner.uid', owner.uid);
    checkUint32('owner.gid', owner.gid);
  }
  const fd = unixSocket(UNIX_TYPES[type]);
  const isAbstract = path.startsWith('@');
  let file: UnixPath | undefined;
  try {
    // So it has at first, and never more than is wanted.
    if (!isAbstract) fchmodSync(fd.number, mode & 0o600);
    bindInPlace(fd, path, UNIX_TYPES[type]);
    if (!isAbstract) file = UnixPath.appear(path, mode, owner);
    if (type !== 'datagram') listen(fd.number, backlog);
  } catch (error) {
    file?.remove();
    fd.close();
    throw error;
  }
  return new OwnSocket(fd, { family: 'unix', path }, file);
}

/**
 * Listens at an address of IPv4 or IPv6; a datagram socket is bound to it. ip(7), ipv6(7), tcp(7), udp(7)
 * @param port 0 has the kernel choose one: see `address`
 * @throws EADDRINUSE, EADDRNOTAVAIL, EACCES for a port below 1024, EINVAL for a host that is no address
 */
export function listenInet(host: string, port: number, options: ListenInetOptions = {}): ListeningSocket {
  checkText('host', host);
  checkInteger('port', port, 0, 0xffff);
  checkObject('options', options);
  const { type = 'stream', backlog = BACKLOG, v6only, reusePort = false } = options;
  checkChoice('type', type, ['stream', 'datagram']);
  checkInteger('backlog', backlog, 0, INT_MAX);
  if (v6only !== undefined) checkBoolean('v6only', v6only);
  checkBoolean('reusePort', reusePort);
  const isV4 = isIP(host) === 4;
  const fd = makeSocket(isV4 ? AF_INET : AF_INET6, type === 'stream' ? SOCK_STREAM : SOCK_DGRAM);
  try {
    setNonBlocking(fd.number);
    // Connections of a former service that are not forgotten yet are in nobody's way. Datagrams would be shared by it.
    if (type === 'stream') enableSocketOption(fd.number, SOL_SOCKET, SO_REUSEADDR);
    if (reusePort) enableSocketOption(fd.number, SOL_SOCKET, SO_REUSEPORT);
    if (!isV4 && v6only !== undefined) enableSocketOption(fd.number, IPPROTO_IPV6, IPV6_V6ONLY, v6only);
    bindAddress(fd.number, { family: isV4 ? 'inet' : 'inet6', host, port });
    if (type === 'stream') listen(fd.number, backlog);
    return new OwnSocket(fd, localAddress(fd.number) as SocketAddress, undefined);
  } catch (error) {
    fd.close();
    throw error;
  }
}

/** A socket that this process, or the one that it takes over from, has made. */
export class OwnSocket implements ListeningSocket {
  #file: UnixPath | undefined;

  constructor(
    readonly fd: Fd,
    readonly address: SocketAddress,
    file: UnixPath | undefined,
  ) {
    this.#file = file;
  }

  /** What tells its path from one that somebody else has put there; undefined where there is none to remove. */
  get fileIdentity(): string | undefined {
    return this.#file?.identity;
  }

  leave(): void {
    this.#file = undefined;
    this.fd.close();
  }

  [Symbol.dispose](): void {
    this.#file?.remove();
    this.leave();
  }
}

/** The file of a socket of ours. */
export class UnixPath {
  constructor(
    readonly path: string,
    /** What it was when it was made. */
    readonly identity: string,
  ) {}

  /** That of a socket which was bound just now, with the mode and owner that it is to have. */
  static appear(path: string, mode: number, owner: ListenUnixOptions['owner']): UnixPath {
    using file = openFile(path, O_PATH | O_NOFOLLOW);
    const itself = `/proc/self/fd/${file.number}`;
    if (owner !== undefined) chownSync(itself, owner.uid, owner.gid);
    chmodSync(itself, mode);
    return new UnixPath(path, identityOf(path) ?? '');
  }

  /** Unless somebody else's is there by now. */
  remove(): void {
    if (identityOf(this.path) === this.identity) rmSync(this.path, { force: true });
  }
}

function bindInPlace(fd: Fd, path: string, type: (typeof UNIX_TYPES)[UnixSocketType]): void {
  try {
    bind(fd.number, path);
  } catch (error) {
    if (!isSystemError(error, 'EADDRINUSE') || !removeStale(path, type)) throw error;
    bind(fd.number, path);
  }
}

/** Removes a socket that nobody listens on any more. @returns whether it did */
function removeStale(path: string, type: (typeof UNIX_TYPES)[UnixSocketType]): boolean {
  if (path.startsWith('@') || lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return false;
  const stale = identityOf(path);
  if (isServed(path, type)) return false;
  // Another process may have come to the same conclusion, and listen here by now: it gets its own back.
  const aside = `${path}.${process.pid}.stale`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return true;
    throw error;
  }
  if (identityOf(aside) === stale) {
    rmSync(aside);
    return true;
  }
  renameSync(aside, path);
  throw new SystemError(EADDRINUSE, 'bind', path);
}

function isServed(path: string, type: (typeof UNIX_TYPES)[UnixSocketType]): boolean {
  using probe = unixSocket(type);
  try {
    connect(probe.number, path);
    return true;
  } catch (error) {
    if (isSystemError(error, 'ECONNREFUSED', 'ENOENT')) return false;
    // Its queue is full, it is of another type, or not for us.
    if (isSystemError(error, 'EAGAIN', 'EPROTOTYPE', 'EACCES', 'EPERM')) return true;
    throw error;
  }
}

function identityOf(path: string): string | undefined {
  const stats = lstatSync(path, { throwIfNoEntry: false, bigint: true });
  return stats && `${stats.dev}:${stats.ino}:${stats.birthtimeNs}`;
}
