import { isUtf8 } from 'node:buffer';
import {
  type BigIntStats,
  closeSync,
  constants,
  type Dirent,
  fstatSync,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmdirSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { EBADMSG, ENOTDIR, isSystemError, SystemError } from '@sdrx/linux';

import { attempt } from '../program/attempt.js';

/** No file of a registry is nearly as long; in bytes. */
const SIZE_MAX = 256 * 1024;

// A symbolic link is not followed, and what is no file, as a FIFO, is not waited for.
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const READ_WRITE = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** What open(2) says of things that are no files: symbolic links, sockets, devices without a driver. */
const NO_FILE = ['ELOOP', 'ENXIO', 'ENODEV', 'ENOTDIR', 'EISDIR'] as const;

/** For how long a file must not have changed until its `FileStamp` tells any later change, in milliseconds: kernels count in ticks. */
const TICKS = 100;

/** Which file it is, and as of when: another one once it was written, linked or unlinked, in whatever place. stat(2) */
export interface FileStamp {
  /** The file's inode. */
  readonly identity: bigint;
  /** The time of its last change, in nanoseconds. */
  readonly changed: bigint;
}

/** What a file held when it was read. */
export interface FileContent {
  readonly text: string;
  /** The stamp of what was read, or of what was there before it was read. */
  readonly stamp: FileStamp;
  /** Whether the file can't have changed since without having another stamp. */
  readonly isSettled: boolean;
}

/**
 * The files of one folder, named relative to it. Only regular files are read, and nothing outside of the folder is ever
 * touched, whatever stands in it.
 */
export class RegistryFolder {
  #temporaries = 0;

  constructor(readonly path: string) {}

  /**
   * Reads a file; undefined if it is not there. Throws EBADMSG, named after the file, for what is no regular file, too long or
   * no UTF-8.
   */
  read(file: string): FileContent | undefined {
    let fd: number;
    try {
      fd = openSync(this.#path(file), READ);
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return undefined;
      throw isSystemError(error, ...NO_FILE) ? this.unreadable(file) : error;
    }
    try {
      const status = fstatSync(fd, { bigint: true });
      if (!status.isFile() || status.size > SIZE_MAX) throw this.unreadable(file);
      const isSettled = Date.now() - Number(status.ctimeMs) > TICKS;
      const bytes = readBytes(fd, Number(status.size));
      if (!isUtf8(bytes)) throw this.unreadable(file);
      return { text: bytes.toString('utf8'), stamp: stampOf(status), isSettled };
    } finally {
      close(fd);
    }
  }

  /** What to throw for a file that does not hold what it should. */
  unreadable(file: string): SystemError {
    return new SystemError(EBADMSG, 'read', this.#path(file));
  }

  /** All that is in the folder itself, by name only, which takes a third of the time. */
  names(): string[] {
    return readdirSync(this.path);
  }

  /** What is in the folder itself, or of one in it; none if that is not there or no folder. */
  list(folder = ''): Dirent[] {
    if (folder !== '' && this.#status(folder)?.isDirectory() !== true) return [];
    try {
      return readdirSync(this.#path(folder), { withFileTypes: true });
    } catch (error) {
      if (folder !== '' && isSystemError(error, 'ENOENT')) return [];
      throw error;
    }
  }

  /** Which regular file it is; undefined if there is none by this name. */
  identity(file: string): bigint | undefined {
    return this.stamp(file)?.identity;
  }

  /** The stamp of a regular file; undefined if there is none by this name. */
  stamp(file: string): FileStamp | undefined {
    const status = this.#status(file);
    return status?.isFile() === true ? stampOf(status) : undefined;
  }

  /** Whether anything at all has this name. */
  has(file: string): boolean {
    return this.#status(file) !== undefined;
  }

  /**
   * Writes a new file that nobody looks for, in the folder itself, so that it can be linked and renamed there. It is written
   * for good before anything else is done with it, so that a power cut leaves no half of it. fsync(2)
   * @param temporary its name, by `temporaryName`
   */
  write(temporary: string, text: string): void {
    const fd = openSync(this.#path(temporary), CREATE, 0o644);
    try {
      writeBytes(fd, Buffer.from(text));
      fsyncSync(fd);
    } catch (error) {
      attempt(() => this.discard(temporary));
      throw error;
    } finally {
      close(fd);
    }
  }

  /** A name for `write` that no other file has. */
  temporaryName(): string {
    const random = Math.floor(Math.random() * 2 ** 48).toString(16);
    return `.#${process.pid}-${this.#temporaries++}-${random}`;
  }

  /** Gives a file one more name, in place of another file that has it. Throws EEXIST if that is no file. */
  replaceWithLink(file: string, link: string): void {
    try {
      this.#link(file, link);
    } catch (error) {
      if (!isSystemError(error, 'EEXIST') || this.identity(link) === undefined) throw error;
      this.discard(link);
      this.#link(file, link);
    }
  }

  #link(file: string, link: string): void {
    linkSync(this.#path(file), this.#path(link));
  }

  /** Renames a file; what had the new name is gone in the same moment. */
  rename(from: string, to: string): void {
    renameSync(this.#path(from), this.#path(to));
  }

  /**
   * Makes `link` a hard link of `file`, without a moment in which there is none.
   * @param temporary as for `write`
   * @returns whether it was none yet
   */
  relink(file: string, link: string, temporary: string): boolean {
    // rename(2) of two links of one file does nothing.
    const present = this.identity(link);
    if (present !== undefined && present === this.identity(file)) return false;
    this.clear(link);
    this.#link(file, temporary);
    try {
      this.rename(temporary, link);
    } catch (error) {
      attempt(() => this.discard(temporary));
      throw error;
    }
    return true;
  }

  /** Makes a folder unless it is there. */
  makeFolder(folder: string): void {
    const status = this.#status(folder);
    if (status?.isDirectory() === true) return;
    if (status !== undefined) this.#setAside(folder);
    mkdirSync(this.#path(folder), 0o755);
  }

  /** Gives what has this name another one if it is no regular file, so that it is in nobody's way, and not lost. */
  clear(file: string): void {
    const status = this.#status(file);
    if (status !== undefined && !status.isFile()) this.#setAside(file);
  }

  /** Removes a file; harmless if it is not there. */
  discard(file: string): void {
    try {
      unlinkSync(this.#path(file));
    } catch (error) {
      if (!isSystemError(error, 'ENOENT', 'ENOTDIR')) throw error;
    }
  }

  /** Removes a folder if it is empty. @returns whether it was there and is gone */
  discardFolder(folder: string): boolean {
    try {
      rmdirSync(this.#path(folder));
      return true;
    } catch (error) {
      if (isSystemError(error, 'ENOENT', 'ENOTEMPTY', 'ENOTDIR')) return false;
      throw error;
    }
  }

  /** Opens a file to be locked, and makes it where it is not there. */
  openLock(file: string): number {
    this.clear(file);
    const fd = openSync(this.#path(file), READ_WRITE, 0o600);
    try {
      if (!fstatSync(fd).isFile()) throw this.unreadable(file);
      return fd;
    } catch (error) {
      close(fd);
      throw error;
    }
  }

  #setAside(file: string): void {
    const random = Math.floor(Math.random() * 2 ** 32).toString(16);
    this.rename(file, `${file}.odd-${random}`);
  }

  #status(file: string) {
    try {
      return lstatSync(this.#path(file), { bigint: true, throwIfNoEntry: false });
    } catch (error) {
      if (isSystemError(error, 'ENOTDIR')) return undefined;
      throw error;
    }
  }

  /** Throws ENOTDIR for what seems to be in a folder that is none. */
  #path(file: string): string {
    if (file === '') return this.path;
    const slash = file.indexOf('/');
    if (slash >= 0) {
      const folder = `${this.path}/${file.slice(0, slash)}`;
      // A symbolic link would lead elsewhere.
      if (lstatSync(folder, { throwIfNoEntry: false })?.isDirectory() === false)
        throw new SystemError(ENOTDIR, 'open', folder);
    }
    return `${this.path}/${file}`;
  }
}

function stampOf({ ino, ctimeNs }: BigIntStats): FileStamp {
  return { identity: ino, changed: ctimeNs };
}

/** What has been written is known to be by fsync(2), and the descriptor is gone whatever close(2) says. */
function close(fd: number): void {
  try {
    closeSync(fd);
  } catch (error) {
    if (!isSystemError(error)) throw error;
  }
}

function readBytes(fd: number, size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  let length = 0;
  for (let read = -1; read !== 0 && length < size; length += read)
    read = readSync(fd, bytes, length, size - length, null);
  return bytes.subarray(0, length);
}

function writeBytes(fd: number, bytes: Buffer): void {
  for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written);
}
