import { allocate, discard, type Fd, isSystemError, sendMessage, write } from '@sdrx/linux';
import { MAX_MESSAGE } from './message.js';

/** Room for the replies that go out in one write. */
const BATCH_SIZE = 64 * 1024;

/** The longest UTF-8 form of one UTF-16 unit. */
const MAX_BYTES_A_UNIT = 3;

interface Unsent {
  bytes: Buffer;
  readonly fds: readonly Fd[];
}

// One buffer for all connections: messages of one connection are gathered in it and written at once.
let batch: Buffer | undefined;
let batchUsed = 0;
let batchOwner: Outbox | undefined;

/** Made once: an error notes its stack, which would cost more than to close a connection. */
const closed = new Error('closed');

/**
 * Sends messages over a non-blocking stream socket: what is `add`ed goes out with `flush`, in one write as a rule. What
 * the socket does not take waits, up to the limit of one longest message; then, and after an error, it is `broken`.
 */
export class Outbox implements Disposable {
  readonly #fd: number;
  #unsent: Unsent[] | undefined;
  #unsentSize = 0;
  #broken: Error | undefined;
  #taken = 0;

  /** @param fd stays the caller's */
  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Why nothing can be sent any more; undefined while all is well. */
  get broken(): Error | undefined {
    return this.#broken;
  }

  /** Whether messages wait for the socket to take more (EPOLLOUT, then `flush`). */
  get waiting(): boolean {
    return this.#unsent !== undefined;
  }

  /** How many bytes of what had to wait were taken by the socket in the end. */
  get taken(): number {
    return this.#taken;
  }

  /**
   * Takes a message to send.
   * @param text with its NUL
   * @param fds go with its first byte, and are closed then
   */
  add(text: string, fds: readonly Fd[] = []): void {
    if (this.#broken !== undefined) {
      closeAll(fds);
    } else if (this.#unsent !== undefined || fds.length > 0 || text.length * MAX_BYTES_A_UNIT > BATCH_SIZE) {
      this.flush();
      this.#addAlone({ bytes: Buffer.from(text), fds });
    } else {
      batch ??= allocate(BATCH_SIZE);
      if (batchOwner !== this || batchUsed + text.length * MAX_BYTES_A_UNIT > BATCH_SIZE) {
        batchOwner?.flush();
        // If it was our own and not all was taken, this message has to wait behind the rest.
        if (this.waiting || this.#broken !== undefined) {
          this.add(text);
          return;
        }
        batchOwner = this;
      }
      batchUsed += batch.write(text, batchUsed);
    }
  }

  /** Sends as much as the socket takes. @throws nothing: see `broken` */
  flush(): void {
    try {
      if (batchOwner === this) this.#flushBatch();
      else if (this.#unsent !== undefined) this.#flushUnsent(this.#unsent);
    } catch (error) {
      this.#break(error);
    }
  }

  [Symbol.dispose](): void {
    this.#break(closed);
  }

  #flushBatch(): void {
    const bytes = batch as Buffer;
    const size = batchUsed;
    batchOwner = undefined;
    batchUsed = 0;
    if (size === 0) return;
    const sent = write(this.#fd, bytes, size) ?? 0;
    if (sent < size) this.#queue({ bytes: Buffer.from(bytes.subarray(sent, size)), fds: [] });
  }

  #addAlone(message: Unsent): void {
    if (this.#broken === undefined && this.#unsentSize + message.bytes.length > MAX_MESSAGE) {
      this.#break(new Error(`more than ${MAX_MESSAGE} bytes wait to be sent`));
    }
    if (this.#broken !== undefined) {
      closeAll(message.fds);
      return;
    }
    const waited = this.waiting;
    this.#queue(message);
    if (!waited) this.flush();
  }

  #queue(message: Unsent): void {
    this.#unsent ??= [];
    this.#unsent.push(message);
    this.#unsentSize += message.bytes.length;
  }

  #flushUnsent(unsent: Unsent[]): void {
    let done = 0;
    for (const message of unsent) {
      if (!this.#sendOne(message)) break;
      done++;
    }
    unsent.splice(0, done);
    if (unsent.length === 0) this.#unsent = undefined;
  }

  /** @returns whether all of it was taken */
  #sendOne(message: Unsent): boolean {
    const fds = message.fds.map((fd) => fd.number).filter((number) => number >= 0);
    const sent = sendMessage(this.#fd, message.bytes, { fds });
    if (sent === undefined) return false;
    closeAll(message.fds);
    this.#unsentSize -= sent;
    this.#taken += sent;
    if (sent === message.bytes.length) return true;
    message.bytes = message.bytes.subarray(sent);
    return false;
  }

  #break(error: unknown): void {
    this.#broken ??= error instanceof Error ? error : new Error(String(error));
    if (batchOwner === this) {
      batchOwner = undefined;
      batchUsed = 0;
    }
    for (const { bytes, fds } of this.#unsent ?? []) {
      discard(bytes);
      closeAll(fds);
    }
    this.#unsent = undefined;
    this.#unsentSize = 0;
  }
}

/** Whether the other side went away: no failure of ours. */
export function isDisconnect(error: unknown): boolean {
  return isSystemError(error, 'EPIPE', 'ECONNRESET');
}

/** Closes descriptors that are not sent. */
export function closeAll(fds: readonly Fd[]): void {
  for (const fd of fds) fd.close();
}
