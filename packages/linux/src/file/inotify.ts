import { isUtf8 } from 'node:buffer';
import { checkFd, checkMask, checkText } from '../arguments.js';
import { check } from '../error/system-error.js';
import { descriptorCall } from '../fd/descriptor-call.js';
import { Fd, read } from '../fd/fd.js';
import { cBytes, printable } from '../ffi/c-string.js';
import { allocate, libc } from '../ffi/libc.js';

/** What happened, and what to wait for: inotify(7). */
export const IN_ACCESS = 0x1;
export const IN_MODIFY = 0x2;
export const IN_ATTRIB = 0x4;
export const IN_CLOSE_WRITE = 0x8;
export const IN_CLOSE_NOWRITE = 0x10;
export const IN_OPEN = 0x20;
export const IN_MOVED_FROM = 0x40;
export const IN_MOVED_TO = 0x80;
export const IN_CREATE = 0x100;
export const IN_DELETE = 0x200;
export const IN_DELETE_SELF = 0x400;
export const IN_MOVE_SELF = 0x800;
export const IN_ALL_EVENTS = 0xfff;
/** Only reported: the file system was unmounted; events were lost; the watch is gone; it is about a directory. */
export const IN_UNMOUNT = 0x2000;
export const IN_Q_OVERFLOW = 0x4000;
export const IN_IGNORED = 0x8000;
export const IN_ISDIR = 0x4000_0000;
/** Only asked for. */
export const IN_ONLYDIR = 0x0100_0000;
export const IN_DONT_FOLLOW = 0x0200_0000;
export const IN_EXCL_UNLINK = 0x0400_0000;
export const IN_MASK_CREATE = 0x1000_0000;
export const IN_MASK_ADD = 0x2000_0000;
/** Bit 31, as an unsigned number. */
export const IN_ONESHOT = 0x8000_0000;

const IN_NONBLOCK = 0o4000;
const IN_CLOEXEC = 0o2000000;
const HEADER_SIZE = 16;
/** Room for many events, and at least one with the longest name. */
const BUFFER_SIZE = 16_384;

const inotifyInit1 = descriptorCall<(flags: number) => number>('int inotify_init1(int)');
const inotifyAddWatch = libc<(fd: number, path: Uint8Array, mask: number) => number>(
  'int inotify_add_watch(int, const void *, uint32_t)',
);
const inotifyRmWatch = libc<(fd: number, watch: number) => number>('int inotify_rm_watch(int, int)');

const buffer = allocate(BUFFER_SIZE);

/** One event as the kernel reports it. */
export interface InotifyRecord {
  /** The watch it is about, −1 for an overflow. */
  readonly watch: number;
  readonly mask: number;
  /** The same for the two events of a rename, else 0. */
  readonly cookie: number;
  /** The file within the watched directory; empty for the watched file itself. */
  readonly name: string;
  /** The bytes of a name that is not UTF-8, of which `name` has U+FFFD in the place of those that are not; else absent. */
  readonly nameBytes?: Buffer;
}

/**
 * An inotify instance, close-on-exec and non-blocking. inotify(7).
 * @throws EMFILE above fs.inotify.max_user_instances
 */
export class Inotify implements Disposable {
  readonly #fd = new Fd(check(inotifyInit1(IN_NONBLOCK | IN_CLOEXEC), 'inotify_init1'));

  get fd(): number {
    return this.#fd.number;
  }

  /**
   * Watches a file or directory. inotify_add_watch(2).
   * @returns the watch, the same for the same inode
   * @throws ENOENT, EACCES, ENOTDIR (with IN_ONLYDIR), EEXIST (with IN_MASK_CREATE), EINVAL for an empty mask and for a path with
   * a NUL in it, ENOSPC above fs.inotify.max_user_watches
   */
  add(path: string | Uint8Array, mask: number): number {
    if (!(path instanceof Uint8Array)) checkText('path', path);
    checkMask('mask', mask);
    const bytes = cBytes(path, 'inotify_add_watch');
    return check(inotifyAddWatch(this.fd, bytes, mask), 'inotify_add_watch', printable(path));
  }

  /** Ends a watch; harmless when the kernel has already. */
  remove(watch: number): void {
    checkFd(watch, 'watch');
    inotifyRmWatch(this.fd, watch);
  }

  /** Takes the events that wait, as many as fit into 16 KiB. */
  read(): InotifyRecord[] {
    const size = read(this.fd, buffer) ?? 0;
    const records: InotifyRecord[] = [];
    for (let at = 0; at < size; ) {
      const length = buffer.readUInt32LE(at + 12);
      const [watch, mask, cookie] = [buffer.readInt32LE(at), buffer.readUInt32LE(at + 4), buffer.readUInt32LE(at + 8)];
      records.push({ watch, mask, cookie, ...nameAt(at + HEADER_SIZE, length) });
      at += HEADER_SIZE + length;
    }
    return records;
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}

/** The name that was read, which is padded with NULs. */
function nameAt(start: number, length: number): Pick<InotifyRecord, 'name' | 'nameBytes'> {
  if (length === 0) return { name: '' };
  const padded = buffer.subarray(start, start + length);
  const bytes = padded.subarray(0, padded.indexOf(0) >>> 0);
  const name = bytes.toString();
  return name.includes('\uFFFD') && !isUtf8(bytes) ? { name, nameBytes: Buffer.from(bytes) } : { name };
}
