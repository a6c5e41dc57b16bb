import { constants, fstatSync, readdirSync, readSync } from 'node:fs';
import {
  checkInteger,
  checkMethods,
  checkObject,
  checkText,
  EFBIG,
  EINVAL,
  isSystemError,
  openFile,
  outOfRange,
  SystemError,
} from '@sdrx/linux';
import { distinctUntilChanged, map, merge, type Observable, of, switchMap } from 'rxjs';
import { checkPriority, isObservable } from '../core/check-options.js';
import type { SourceOptions } from '../core/source.js';
import type { EventLoop } from '../loop.js';
import { watchFile } from '../service/watch-file.js';
import { mountChanges } from './mount-changes.js';

/** The longest credential that systemd passes, in bytes. */
const LONGEST = 1024 * 1024;

/** 1 to 255 printable ASCII characters without `/` and `:`, and not `.` or `..`. systemd.exec(5) LoadCredential= */
const NAME = /^(?!\.\.?$)[ -.0-9;-~]{1,255}$/;

/** How a credential is read. */
export interface ReadCredentialOptions {
  /** The most bytes that it may have: by default 1 MiB, which is all that systemd passes. */
  readonly limit?: number;
}

/** How a credential is watched. */
export interface WatchCredentialOptions extends ReadCredentialOptions, Pick<SourceOptions, 'priority'> {}

/**
 * What a unit was given by LoadCredential=, SetCredential= and the like, in files that only it may read. They may change when the
 * service is reloaded, where the unit has RefreshOnReload=credentials. systemd.exec(5), https://systemd.io/CREDENTIALS
 */
export class Credentials {
  constructor(
    /** Where they are. */
    readonly directory: string,
  ) {
    checkText('directory', directory);
  }

  /** What they are called, in alphabetical order. @throws SystemError ENOENT, EACCES */
  names(): string[] {
    return readdirSync(this.directory)
      .filter((name) => NAME.test(name))
      .sort();
  }

  /**
   * Reads one, as bytes.
   * @param name 1 to 255 printable ASCII characters, no `/` and `:`
   * @throws SystemError ENOENT, EACCES, EFBIG for a longer one than `limit`, EINVAL for what is no file; RangeError for a name that
   * none can have
   */
  read(name: string, options: ReadCredentialOptions = {}): Buffer {
    const path = this.#pathOf(name);
    return readFile(path, limitOf(options));
  }

  /**
   * Reads one as text. What it ends with is part of it, also a line break.
   * @throws as `read`; TypeError, with the code ERR_ENCODING_INVALID_ENCODED_DATA, for what is not UTF-8
   */
  text(name: string, options: ReadCredentialOptions = {}): string {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.read(name, options));
  }

  /**
   * Comes at once with a credential, and again whenever it is another one; with undefined while there is none. It is told of changes
   * of the file and of mounts, which is how systemd changes credentials. Fails as `read`, and as `watchFile`.
   * @throws as `read` for the arguments
   */
  watch(loop: EventLoop, name: string, options: WatchCredentialOptions = {}): Observable<Buffer | undefined> {
    checkMethods('loop', loop, 'an EventLoop', 'inotify', 'time', 'source');
    const path = this.#pathOf(name);
    const limit = limitOf(options);
    const { priority = 0 } = options;
    if (!isObservable(priority)) checkPriority(priority);
    const mounts = mountChanges(loop, { priority, description: `mounts, for the credential ${name}` });
    // What is mounted over a folder hides it from who watches it. What is mounted from the first look on must be told, so it comes last.
    return merge(mounts, of(undefined)).pipe(
      switchMap(() => watchFile(loop, path, { priority, immediately: true })),
      map(() => readIfThere(path, limit)),
      distinctUntilChanged(
        (one, other) => one === other || (one !== undefined && other !== undefined && one.equals(other)),
      ),
    );
  }

  #pathOf(name: string): string {
    checkText('name', name);
    if (!NAME.test(name)) throw outOfRange('name', '1 to 255 printable ASCII characters without `/` and `:`', name);
    return `${this.directory}/${name}`;
  }
}

function limitOf(options: ReadCredentialOptions): number {
  checkObject('options', options);
  const { limit = LONGEST } = options;
  checkInteger('limit', limit, 0, 0x7fff_fffe);
  return limit;
}

function readIfThere(path: string, limit: number): Buffer | undefined {
  try {
    return readFile(path, limit);
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

function readFile(path: string, limit: number): Buffer {
  // A fifo or a device must not be waited for.
  using file = openFile(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  const status = fstatSync(file.number);
  if (!status.isFile()) throw new SystemError(EINVAL, 'read', path, 'a credential is a regular file');
  const bytes = Buffer.alloc(Math.min(status.size, limit) + 1);
  let length = 0;
  for (let count = -1; count !== 0 && length < bytes.length; length += count) {
    count = readSync(file.number, bytes, length, bytes.length - length, null);
  }
  if (length > limit) throw new SystemError(EFBIG, 'read', path, `the credential is longer than ${limit} bytes`);
  return bytes.subarray(0, length);
}
