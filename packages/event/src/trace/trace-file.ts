import { constants } from 'node:fs';
import { atLoad, EAGAIN, type Fd, openFile, SystemError, write } from '@sdrx/linux';
import type { Dispatch } from './trace.js';
import { TraceWriter } from './trace-format.js';

/** How much is kept back before it is written, in characters. */
const PORTION = 65_536;

/** How long it is kept back at most while there are dispatches, in milliseconds. */
const PATIENCE = 1000;

/** A file with a trace, which is whole when it has been disposed of. */
export class TraceFile implements Disposable {
  readonly #path: string;
  readonly #file: Fd;
  readonly #writer = new TraceWriter(process.pid);
  #text: string;
  #written = atLoad.performanceNow();
  #isFinished = false;

  /** Replaces one that is there. @throws ENOENT, EACCES, … */
  constructor(path: string) {
    this.#path = path;
    this.#file = openFile(path, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC);
    this.#text = this.#writer.head();
  }

  /** @throws ENOSPC, … */
  add(dispatch: Dispatch): void {
    this.#text += this.#writer.dispatch(dispatch);
    if (this.#text.length >= PORTION || atLoad.performanceNow() - this.#written >= PATIENCE) this.#write();
  }

  /** Writes what there is left; once. @throws ENOSPC, … */
  finish(): void {
    if (this.#isFinished) return;
    this.#isFinished = true;
    this.#text += this.#writer.tail();
    this.#write();
  }

  [Symbol.dispose](): void {
    try {
      this.finish();
    } finally {
      this.#file[Symbol.dispose]();
    }
  }

  /** At once and not beside the loop: what a process wrote before it ended badly is what one wants to see. */
  #write(): void {
    let bytes = Buffer.from(this.#text);
    this.#text = '';
    this.#written = atLoad.performanceNow();
    while (bytes.length > 0) {
      const count = write(this.#file.number, bytes);
      // A fifo whose reader is slow, say.
      if (count === undefined) throw new SystemError(EAGAIN, 'write', this.#path);
      bytes = bytes.subarray(count);
    }
  }
}
