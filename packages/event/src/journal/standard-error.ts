import { constants, fstatSync, openSync, type Stats, writeSync } from 'node:fs';
import { checkText, EPOLLOUT, isSystemError, pollNow, sendNow } from '@sdrx/linux';

const STDERR = 2;

/**
 * The standard error of a service, which nobody need read: what can't be written now is lost, and that is said with the
 * next line that can. Nothing here waits or throws, whatever the other end is: a pipe that nobody empties, a disk that is
 * full, a terminal that was stopped, a reader that is gone. `process.stderr` waits for all of these.
 */
export class StandardError {
  #write: ((bytes: Buffer) => number | undefined) | undefined;
  #lost = 0;
  /** Whether a line was written in part. */
  #cut = false;

  /**
   * Writes one line.
   * @param text without the line's end; one with line breaks in it counts as one line that may be lost
   */
  writeLine(text: string): void {
    checkText('text', text);
    const notice = this.#lost === 0 ? '' : `${this.#lost} lines could not be written\n`;
    const bytes = Buffer.from(`${this.#cut ? '\n' : ''}${notice}${text}\n`);
    const written = this.#attempt(bytes);
    if (written > 0) this.#cut = written < bytes.length;
    if (written === bytes.length) this.#lost = 0;
    else this.#lost++;
  }

  /** @returns how many bytes were written */
  #attempt(bytes: Buffer): number {
    try {
      this.#write ??= writer();
      return this.#write(bytes) ?? 0;
    } catch (error) {
      if (isSystemError(error)) return 0;
      throw error;
    }
  }
}

/** How the standard error can be written to without waiting. Its own flags are not touched: others have it, too. */
function writer(): (bytes: Buffer) => number | undefined {
  const file = fstatSync(STDERR);
  if (file.isSocket()) return (bytes) => sendNow(STDERR, bytes);
  if (!file.isFIFO() && !file.isCharacterDevice()) return (bytes) => writeSync(STDERR, bytes);
  const own = openAgain(file);
  if (own !== undefined) return (bytes) => writeSync(own, bytes);
  // It may not be opened by us, or has no reader at all: between look and write another process can fill it.
  return (bytes) => ((pollNow(STDERR, EPOLLOUT) & EPOLLOUT) === 0 ? 0 : writeSync(STDERR, bytes));
}

/** The same pipe or device, opened once more, with flags of our own. */
function openAgain(file: Stats): number | undefined {
  const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants;
  try {
    const fd = openSync(`/proc/self/fd/${STDERR}`, O_WRONLY | O_NONBLOCK | O_NOCTTY);
    const { dev, ino, rdev } = fstatSync(fd);
    return dev === file.dev && ino === file.ino && rdev === file.rdev ? fd : undefined;
  } catch (error) {
    if (isSystemError(error)) return undefined;
    throw error;
  }
}
