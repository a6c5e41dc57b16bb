import { openSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import { Fd, isSystemError, read, readKernelFile } from '@sdrx/linux';
import type { Steps } from '../program/slices.js';

/** One line of mountinfo. proc_pid_mountinfo(5). */
export interface Mount {
  /** Which part of the file system is mounted; for nsfs the namespace, such as `net:[4026532001]`. */
  readonly root: string;
  /** Where, as seen by the process. */
  readonly path: string;
  /** The file system's type. */
  readonly type: string;
}

/** A mount of a namespace, and whether its place can be reached without asking a process of any user. */
export interface NamespaceMount extends Mount {
  readonly isSafe: boolean;
}

/** File systems that look names up without a word to any process or other machine. */
const LOCAL = new Set([
  ...['btrfs', 'devtmpfs', 'erofs', 'ext2', 'ext3', 'ext4', 'f2fs', 'proc', 'ramfs', 'squashfs', 'tmpfs', 'xfs'],
]);

/** File systems that are a process. */
const FUSE = /^fuse/;

/** How much is read at a time, in bytes: about 600 mounts. */
const CHUNK = 65_536;

/** What is mounted in the mount namespace of a process. Throws ENOENT or ESRCH when it is gone, EINVAL for a zombie. */
export function mounts(pid: number | 'self' = 'self'): Mount[] {
  return parseMountinfo(readKernelFile(`/proc/${pid}/mountinfo`, 'utf8'));
}

/**
 * The namespaces that are mounted in the mount namespace of a process; undefined if it is gone or not for us to see. There may
 * be very many mounts: yields after each part of them.
 * @param trusted devices of file systems that are the administrator's, whatever they are
 */
export function* namespaceMounts(pid: number, trusted: ReadonlySet<string>): Steps<NamespaceMount[] | undefined> {
  const found: Mount[] = [];
  const doubtful = new Set<string>();
  try {
    for (const line of lines(`/proc/${pid}/mountinfo`)) {
      if (line === undefined) yield;
      else
        for (const mount of parseLine(line)) {
          if (mount.type === 'nsfs') found.push(mount);
          else if (!LOCAL.has(mount.type) && !trusted.has(mount.device)) doubtful.add(mount.path);
        }
    }
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ESRCH', 'EINVAL', 'EACCES', 'EPERM')) return undefined;
    throw error;
  }
  const checked: NamespaceMount[] = [];
  for (const mount of found) {
    checked.push({ ...mount, isSafe: !places(mount.path).some((place) => doubtful.has(place)) });
    yield;
  }
  return checked;
}

/** The devices of the file systems in our own mount namespace, but those that are a process, which may be any user's. */
export function ownDevices(): Set<string> {
  const own = readKernelFile('/proc/self/mountinfo', 'utf8').split('\n').flatMap(parseLine);
  return new Set(own.filter(({ type }) => !FUSE.test(type)).map(({ device }) => device));
}

/** The lines of a file of /proc; undefined after each part of them. */
function* lines(path: string): Generator<string | undefined, void> {
  using file = new Fd(openSync(path, 'r'));
  const buffer = Buffer.alloc(CHUNK);
  // A character may be cut in two.
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for (let size = read(file.number, buffer) ?? 0; size > 0; size = read(file.number, buffer) ?? 0) {
    const parts = (rest + decoder.write(buffer.subarray(0, size))).split('\n');
    rest = parts.pop() ?? '';
    yield* parts;
    yield undefined;
  }
}

/** A path and all folders above it. */
function places(path: string): string[] {
  const names = path.split('/').filter(Boolean);
  return ['/', ...names.map((_, index) => `/${names.slice(0, index + 1).join('/')}`)];
}

/** Reads mountinfo; lines that say less than they should are skipped. */
export function parseMountinfo(text: string): Mount[] {
  return text
    .split('\n')
    .flatMap(parseLine)
    .map(({ root, path, type }) => ({ root, path, type }));
}

function parseLine(line: string): (Mount & { readonly device: string })[] {
  // Before the dash: id, parent, device, root, path, options and any number of tags.
  const [before = '', after = ''] = line.split(' - ');
  const [, , device, root, path] = before.split(' ');
  const [type] = after.split(' ');
  return device && root && path && type ? [{ device, root: unquote(root), path: unquote(path), type }] : [];
}

/** Spaces, tabs, newlines and backslashes are written as three octal digits. */
function unquote(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
