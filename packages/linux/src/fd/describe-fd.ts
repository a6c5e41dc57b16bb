import { fstatSync, readlinkSync } from 'node:fs';
import { checkFd } from '../arguments.js';
import { isSystemError } from '../error/system-error.js';
import { fileSystemType, PROC_SUPER_MAGIC } from '../file/file-system-type.js';
import { readKernelFile } from '../file/read-kernel-file.js';
import { AF_UNIX, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM, socketProperties } from '../socket/socket.js';
import {
  AF_INET,
  AF_INET6,
  AF_VSOCK,
  localAddress,
  peerAddress,
  type SocketAddress,
} from '../socket/socket-address.js';
import { statusFlags } from './fd.js';

const SYSFS_MAGIC = 0x6265_6572;
const MQUEUE_MAGIC = 0x1980_0202;
const SOCK_RAW = 3;

const FAMILIES: Readonly<Record<number, SocketFamily>> = {
  [AF_UNIX]: 'unix',
  [AF_INET]: 'inet',
  [AF_INET6]: 'inet6',
  [AF_VSOCK]: 'vsock',
  16: 'netlink',
};

const TYPES: Readonly<Record<number, SocketKind>> = {
  [SOCK_STREAM]: 'stream',
  [SOCK_DGRAM]: 'datagram',
  [SOCK_SEQPACKET]: 'seqpacket',
  [SOCK_RAW]: 'raw',
};

export type SocketFamily = 'unix' | 'inet' | 'inet6' | 'vsock' | 'netlink';
export type SocketKind = 'stream' | 'datagram' | 'seqpacket' | 'raw';

/** A socket, as the kernel knows it. */
export interface SocketDescription {
  readonly kind: 'socket';
  /** The number of one that is not known here. address_families(7) */
  readonly family: SocketFamily | number;
  readonly type: SocketKind | number;
  readonly listening: boolean;
  /** What it is bound to; undefined for a family whose addresses are not known here. */
  readonly address: SocketAddress | undefined;
  /** Its other end; undefined while there is none. */
  readonly peer: SocketAddress | undefined;
}

/** Something with a path. A message queue's is its name, `/name`. */
export interface FileDescription {
  readonly kind: 'file' | 'directory' | 'fifo' | 'character-device' | 'block-device' | 'special' | 'message-queue';
  /** Where it is, or was: proc_pid_fd(5). Undefined for a pipe(2). */
  readonly path: string | undefined;
}

/** memfd_create(2) */
export interface MemfdDescription {
  readonly kind: 'memfd';
  readonly name: string;
}

/** pidfd_open(2) */
export interface PidfdDescription {
  readonly kind: 'pidfd';
  /** −1 when the process is gone, 0 when it is in another pid namespace. */
  readonly pid: number;
}

/** What has no path and no more to tell: `eventpoll`, `eventfd`, `timerfd`, `signalfd`, `inotify`, `bpf-map`, … */
export interface AnonymousDescription {
  readonly kind: 'anonymous';
  readonly type: string;
}

export type FdDescription =
  | SocketDescription
  | FileDescription
  | MemfdDescription
  | PidfdDescription
  | AnonymousDescription;

/**
 * Says what a descriptor is, as far as the kernel knows: all that sd_is_fifo(3), sd_is_special, sd_is_socket_inet,
 * sd_is_socket_unix, sd_is_socket_sockaddr and sd_is_mq ask, and more. `special` is a file of /proc or /sys.
 *
 * For descriptors of one's own, or of who may stop this process anyway: to ask about a file of FUSE may never end.
 * @throws EBADF
 */
export function describeFd(fd: number): FdDescription {
  checkFd(fd);
  // Throws EBADF for any number, where Node has errors of its own.
  statusFlags(fd);
  const stats = fstatSync(fd);
  if (stats.isSocket()) return describeSocket(fd);
  const target = targetOf(fd);
  if (stats.isFIFO()) return { kind: 'fifo', path: target?.startsWith('/') ? target : undefined };
  if (stats.isCharacterDevice()) return { kind: 'character-device', path: target };
  if (stats.isBlockDevice()) return { kind: 'block-device', path: target };
  const magic = fileSystemType(fd);
  if (magic === MQUEUE_MAGIC) return { kind: 'message-queue', path: target };
  const [, memfd] = /^\/memfd:(.*) \(deleted\)$/s.exec(target ?? '') ?? [];
  if (memfd !== undefined && stats.nlink === 0) return { kind: 'memfd', name: memfd };
  // The kernel has called it by both names.
  if (/^(?:anon_inode:\[pidfd\]|pidfd:\[\d+\])$/.test(target ?? '')) return { kind: 'pidfd', pid: pidOf(fd) };
  const [, anonymous] = /^anon_inode:\[?(.*?)\]?$/s.exec(target ?? '') ?? [];
  if (anonymous !== undefined) return { kind: 'anonymous', type: anonymous };
  if (magic === PROC_SUPER_MAGIC || magic === SYSFS_MAGIC) return { kind: 'special', path: target };
  return { kind: stats.isDirectory() ? 'directory' : 'file', path: target };
}

function describeSocket(fd: number): SocketDescription {
  const { domain, type, listening } = socketProperties(fd);
  return {
    kind: 'socket',
    family: FAMILIES[domain] ?? domain,
    type: TYPES[type] ?? type,
    listening,
    address: localAddress(fd),
    peer: listening ? undefined : peerOf(fd),
  };
}

function peerOf(fd: number): SocketAddress | undefined {
  try {
    return peerAddress(fd);
  } catch (error) {
    if (isSystemError(error, 'ENOTCONN', 'EOPNOTSUPP', 'EINVAL')) return undefined;
    throw error;
  }
}

/** What it stands for; undefined where there is no /proc. */
function targetOf(fd: number): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** proc_pid_fdinfo(5) */
function pidOf(fd: number): number {
  const [, pid] = /^Pid:\s*(-?\d+)$/m.exec(readKernelFile(`/proc/self/fdinfo/${fd}`)) ?? [];
  return Number(pid ?? -1);
}
