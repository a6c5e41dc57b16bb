import { constants, fstatSync, linkSync, lstatSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { checkText, type Fd, isSystemError, O_NOFOLLOW, openFile, tryLockExclusive, write } from '@sdrx/linux';

/** Another process is the one in a PID file. */
export class PidFileError extends Error {
  /** The class's. */
  override readonly name = 'PidFileError';

  constructor(
    /** The file's. */
    readonly path: string,
    /** What the file says of it. */
    readonly owner: string,
  ) {
    checkText('path', path);
    checkText('owner', owner);
    super(`the service runs already, as process ${owner}: it holds the PID file ${path}`);
  }
}

/**
 * A file that says which process is the service. Its owner holds a lock on it, flock(2), so that one which a process has left behind is
 * never taken for a living one's, though its number may be another process's by now. It appears whole, by rename(2), and goes with this
 * object if it is still the one at its path.
 */
export class PidFile implements Disposable {
  readonly #path: string;
  readonly #file: Fd;
  #isClaimed = false;

  /**
   * Writes it beside its path, so that what can go wrong, as for want of space, goes wrong now.
   * @throws ENOSPC, EACCES, ENOENT for a folder that is not there
   */
  constructor(path: string) {
    checkText('path', path);
    this.#path = path;
    rmSync(this.#draft, { force: true });
    this.#file = openFile(this.#draft, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o644);
    try {
      tryLockExclusive(this.#file.number);
      write(this.#file.number, Buffer.from(`${process.pid}\n`));
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Puts it at its path.
   * @throws PidFileError if another process holds the one that is there; ELOOP for a symbolic link
   */
  claim(): void {
    while (!this.#tryClaim());
    this.#isClaimed = true;
  }

  /** Puts it at its path, in place of that of a process which gives way. */
  replace(): void {
    renameSync(this.#draft, this.#path);
    this.#isClaimed = true;
  }

  /** Leaves it to a process that replaces it. One that could not be put at its path is removed. */
  leave(): void {
    if (!this.#isClaimed) rmSync(this.#draft, { force: true });
    this.#file.close();
  }

  /** Removes it, unless another process's is there. */
  [Symbol.dispose](): void {
    const path = this.#isClaimed ? this.#path : this.#draft;
    if (this.#file.number !== -1 && isAt(path, this.#file)) rmSync(path, { force: true });
    this.#file.close();
  }

  get #draft(): string {
    return draftOf(this.#path, process.pid);
  }

  /** @returns false if another process was faster */
  #tryClaim(): boolean {
    try {
      // Fails if there is one by now.
      linkSync(this.#draft, this.#path);
      rmSync(this.#draft);
      return true;
    } catch (error) {
      if (!isSystemError(error, 'EEXIST')) throw error;
    }
    using former = openIfThere(this.#path);
    if (former === undefined) return false;
    if (!tryLockExclusive(former.number))
      throw new PidFileError(this.#path, readFileSync(former.number, 'utf8').trim());
    // While it is locked nobody else replaces it.
    if (!isAt(this.#path, former)) return false;
    renameSync(this.#draft, this.#path);
    return true;
  }
}

/** Removes what a process has left beside a PID file that was killed before it put its own there. */
export function removeDraft(path: string, pid: number): void {
  rmSync(draftOf(path, pid), { force: true });
}

function draftOf(path: string, pid: number): string {
  return `${path}.${pid}`;
}

function openIfThere(path: string): Fd | undefined {
  try {
    // Neither waits at a FIFO nor follows a link to another file, whose lock would say nothing of this path.
    return openFile(path, constants.O_RDONLY | constants.O_NONBLOCK | O_NOFOLLOW);
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function isAt(path: string, file: Fd): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false });
  const own = fstatSync(file.number);
  return found !== undefined && found.ino === own.ino && found.dev === own.dev;
}
