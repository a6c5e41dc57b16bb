import { ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { Fd, isSystemError, tryLockExclusive } from '@sdrx/linux';

/** Another manager serves this runtime directory, or another service its socket. */
export class AlreadyServedError extends Error {
  override readonly name = 'AlreadyServedError';
}

/**
 * Makes sure that a runtime directory has one manager, by a lock on `nsresource/manager`, which goes with its process,
 * however that ends. flock(2). The file stays, and tells whose it was last.
 */
export class ManagerLock implements Disposable {
  readonly #fd: Fd;
  /** The manager before this one, which has ended; undefined if there was none. */
  readonly former: number | undefined;

  /** Throws AlreadyServedError while another process has it. */
  constructor(runtimeDirectory: string) {
    mkdirSync(`${runtimeDirectory}/nsresource`, { recursive: true, mode: 0o755 });
    this.#fd = new Fd(openSync(`${runtimeDirectory}/nsresource/manager`, 'a+', 0o600));
    try {
      const holder = Number(/^[1-9]\d*$/m.exec(readFileSync(this.#fd.number, 'ascii'))?.[0] ?? Number.NaN);
      this.former = Number.isNaN(holder) ? undefined : holder;
      if (!tryLockExclusive(this.#fd.number)) {
        throw new AlreadyServedError(
          `nsresourced runs already for ${runtimeDirectory}, as process ${this.former ?? 'unknown'}: ` +
            'end that one first, or give this one another --runtime-directory=',
        );
      }
      this.#sign();
    } catch (error) {
      this.#fd.close();
      throw error;
    }
  }

  /** Writes whose it is. For want of space nobody is told, and the lock holds all the same. */
  #sign(): void {
    try {
      ftruncateSync(this.#fd.number);
      writeSync(this.#fd.number, `${process.pid}\n`);
    } catch (error) {
      if (!isSystemError(error)) throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}
