import { type FileHandle, open } from 'node:fs/promises';
import { describeFd, EIO, errno, libc, SystemError } from '@sdrx/linux';

const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;
const FALLOC_FL_ZERO_RANGE = 16;

const SEEK_END = 2;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const ENXIO = 6;

type Done = (error: unknown, result: number) => void;

const lseek = libc<(fd: number, offset: number, whence: number) => number>('int64_t lseek(int, int64_t, int)');
// Not Node's loop has to wait for it.
const fallocate = libc<(fd: number, mode: number, offset: number, length: number, done: Done) => void>(
  'int fallocate(int, int, int64_t, int64_t)',
  'async',
);

/** How much is zeroed at a time where the file system can't do it. */
const ZEROES = Buffer.alloc(1024 * 1024);

/** A part of a file of which all or nothing is stored. */
export interface Extent {
  readonly length: number;
  /** Nothing is; it reads as zeroes. */
  readonly hole: boolean;
}

/** The regular file or block device that is exported. Ranges are within its size. */
export class ExportFile implements AsyncDisposable {
  readonly #handle: FileHandle;

  private constructor(
    handle: FileHandle,
    /** In bytes, as it was when it was opened. */
    readonly size: number,
    readonly readOnly: boolean,
  ) {
    this.#handle = handle;
  }

  /** Throws ENOENT, EACCES, EROFS, EISDIR…, and TypeError for what has no size. */
  static async open(path: string, { readOnly }: { readonly readOnly: boolean }): Promise<ExportFile> {
    const handle = await open(path, readOnly ? 'r' : 'r+');
    try {
      const { kind } = describeFd(handle.fd);
      if (kind !== 'file' && kind !== 'block-device')
        throw new TypeError(`'${path}' is no file to export, but: ${kind}`);
      const size = lseek(handle.fd, 0, SEEK_END);
      if (size === -1) throw SystemError.last('lseek', path);
      return new ExportFile(handle, size, readOnly);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  async read(offset: number, length: number): Promise<Buffer> {
    const data = Buffer.allocUnsafeSlow(length);
    for (let done = 0; done < length; ) {
      const { bytesRead } = await this.#handle.read(data, done, length - done, offset + done);
      if (bytesRead === 0) throw new SystemError(EIO, 'read', undefined, 'the file has become shorter');
      done += bytesRead;
    }
    return data;
  }

  async write(offset: number, data: Buffer): Promise<void> {
    for (let done = 0; done < data.length; ) {
      done += (await this.#handle.write(data, done, data.length - done, offset + done)).bytesWritten;
    }
  }

  /** Has everything that was written survive a loss of power. */
  async flush(): Promise<void> {
    await this.#handle.datasync();
  }

  /** Gives storage back. It is a hint: where that can't be done it stays. */
  async trim(offset: number, length: number): Promise<void> {
    await this.#allocate(FALLOC_FL_PUNCH_HOLE, offset, length);
  }

  /** @param mayPunch whether storage may be given back, too */
  async writeZeroes(offset: number, length: number, mayPunch: boolean): Promise<void> {
    if (await this.#allocate(mayPunch ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE, offset, length)) return;
    for (let done = 0; done < length; done += ZEROES.length) {
      await this.write(offset + done, ZEROES.subarray(0, Math.min(ZEROES.length, length - done)));
    }
  }

  /** What is stored of a range; without gaps. Where it is not known, all is. */
  *extents(offset: number, length: number): Generator<Extent> {
    const end = offset + length;
    for (let at = offset; at < end; ) {
      const data = Math.min(this.#seek(at, SEEK_DATA), end);
      if (data > at) yield { length: data - at, hole: true };
      at = data;
      if (at === end) return;
      const hole = Math.min(this.#seek(at, SEEK_HOLE), end);
      if (hole > at) yield { length: hole - at, hole: false };
      at = hole;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }

  /** @returns whether the file system could do it */
  #allocate(mode: number, offset: number, length: number): Promise<boolean> {
    return new Promise((resolve, reject) => {
      fallocate(this.#handle.fd, mode | FALLOC_FL_KEEP_SIZE, offset, length, (error, result) =>
        error ? reject(error) : resolve(result === 0),
      );
    });
  }

  /** lseek(2) */
  #seek(offset: number, whence: number): number {
    const found = lseek(this.#handle.fd, offset, whence);
    if (found !== -1) return found;
    // No data behind it.
    if (errno() === ENXIO) return this.size;
    return whence === SEEK_DATA ? offset : this.size;
  }
}
