import { constants, ftruncateSync, mkdirSync, readFileSync, writeSync } from 'node:fs';
import { type Fd, isSystemError, openFile, tryLockExclusive } from '@sdrx/linux';

/** Another manager serves this runtime directory, or another service its socket. */
export class AlreadyServedError extends Error {
  override readonly name = 'AlreadyServedError';
}

/** How many managers are remembered. */
const REMEMBERED = 16;

/**
 * Makes sure that a runtime directory has one manager, by a lock on `nsresource/manager`, which goes with its process,
 * however that ends, or with the process that it is handed to. flock(2). The file stays, and tells whose it was, the last first.
 *
 * Whatever the manager has in the runtime directory it opens by the path that this object has, so that it has the lock before.
 */
export class ManagerLock implements Disposable {
  /** To be handed on. */
  readonly fd: Fd;
  /** The managers before this one, which have ended or give way. */
  readonly former: readonly number[];

  private constructor(
    readonly runtimeDirectory: string,
    fd: Fd,
  ) {
    this.fd = fd;
    const text = readFileSync(`/proc/self/fd/${fd.number}`, 'ascii');
    this.former = Array.from(text.matchAll(/^[1-9]\d*$/gm), ([pid]) => Number(pid));
  }

  /** Throws AlreadyServedError while another process has it. */
  static take(runtimeDirectory: string): ManagerLock {
    mkdirSync(`${runtimeDirectory}/nsresource`, { recursive: true, mode: 0o755 });
    const fd = openFile(`${runtimeDirectory}/nsresource/manager`, constants.O_RDWR | constants.O_CREAT, 0o600);
    try {
      const lock = new ManagerLock(runtimeDirectory, fd);
      if (!tryLockExclusive(fd.number)) {
        throw new AlreadyServedError(
          `nsresourced runs already for ${runtimeDirectory}, as process ${lock.former[0] ?? 'unknown'}: ` +
            'end that one first, or give this one another --runtime-directory=',
        );
      }
      lock.claim();
      return lock;
    } catch (error) {
      fd.close();
      throw error;
    }
  }

  /** That of a manager that gives way to this one. @param fd is ours from now on */
  static inherit(runtimeDirectory: string, fd: Fd): ManagerLock {
    return new ManagerLock(runtimeDirectory, fd);
  }

  /** Writes whose it is. For want of space nobody is told, and the lock holds all the same. */
  claim(): void {
    try {
      const text = `${[process.pid, ...this.former].slice(0, REMEMBERED).join('\n')}\n`;
      // In place, so that who looks meanwhile finds somebody.
      writeSync(this.fd.number, text, 0);
      ftruncateSync(this.fd.number, text.length);
    } catch (error) {
      if (!isSystemError(error)) throw error;
    }
  }

  /** Leaves it to the process that it was handed to. */
  resign(): void {
    this.fd.close();
  }

  [Symbol.dispose](): void {
    this.fd.close();
  }
}
