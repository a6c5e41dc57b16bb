import { close } from '@sdrx/linux';
import { decodeText, MAX_MESSAGE } from './message.js';
import { ProtocolError } from './varlink-error.js';

/** How many descriptors one message may bring: what the kernel passes with one sendmsg(2). */
const MAX_FDS = 253;

const NOTHING: Buffer = Buffer.alloc(0);
const NO_FDS: readonly number[] = [];

/**
 * What a connection has received and not yet handled: splits bytes at each NUL into messages, however they were cut.
 *
 * Bytes are borrowed from the receive buffer (`add`) while messages are taken out (`next`); `settle` copies what is left.
 * A connection on which nothing is left holds no bytes.
 *
 * Descriptors that come with a receive belong to the message that the last byte of this receive belongs to: the kernel
 * ends a receive after the bytes that descriptors were sent with, so bytes before them may be of earlier messages, which
 * were sent without. A sender that puts several messages into one sendmsg(2) gives its descriptors to the last of them.
 */
export class Inbox implements Disposable {
  /** The borrowed or kept bytes that have not been looked at: from `#at` to `#end`. */
  #bytes: Buffer = NOTHING;
  #at = 0;
  #end = 0;
  #borrowed = false;
  /** Descriptors of the last message in `#bytes`. */
  #fds: readonly number[] = NO_FDS;
  /** The beginning of a message whose end has not come yet, before `#bytes`. */
  #parts: Buffer[] | undefined;
  #partsSize = 0;
  #partsFds: readonly number[] = NO_FDS;
  /** Descriptors of the message that `next` returned last. */
  #messageFds: readonly number[] = NO_FDS;

  /** Whether a message has begun to arrive, or arrived, that `next` has not returned. */
  get holdsBytes(): boolean {
    return this.#at < this.#end || this.#parts !== undefined;
  }

  /**
   * Takes what was received. All before must have been taken out.
   * @param bytes stay the caller's, who leaves them as they are until `settle`
   * @param end how many of them count
   * @param fds are ours from now on
   */
  add(bytes: Buffer, end: number, fds: readonly number[] = NO_FDS): void {
    this.#bytes = bytes;
    this.#at = 0;
    this.#end = end;
    this.#borrowed = true;
    this.#fds = fds;
  }

  /**
   * The next message that is complete, without its NUL; `takeFds` gives its descriptors.
   * Throws ProtocolError for one that is no UTF-8, too long or has too many descriptors; then the connection is of no use.
   */
  next(): string | undefined {
    const at = this.#at;
    if (at >= this.#end) return undefined;
    const nul = this.#bytes.indexOf(0, at);
    if (nul === -1 || nul >= this.#end) {
      this.#keepPart();
      return undefined;
    }
    this.#at = nul + 1;
    this.#checkSize(nul + 1 - at);
    const text = this.#parts === undefined ? decodeText(this.#bytes, at, nul) : this.#join(at, nul);
    if (this.#partsFds.length > 0) {
      this.#messageFds = this.#partsFds;
      this.#partsFds = NO_FDS;
    }
    if (this.#fds.length > 0 && this.#at === this.#end) {
      this.#messageFds = [...this.#messageFds, ...this.#fds];
      this.#fds = NO_FDS;
    }
    if (text === undefined) throw new ProtocolError('a message is no UTF-8');
    if (this.#messageFds.length > MAX_FDS) throw new ProtocolError('a message has too many file descriptors');
    return text;
  }

  /** The descriptors of the message that `next` just returned; they are the caller's from now on. */
  takeFds(): readonly number[] {
    const fds = this.#messageFds;
    this.#messageFds = NO_FDS;
    return fds;
  }

  /** Makes what is left independent of the bytes given to `add`. */
  settle(): void {
    if (!this.#borrowed) return;
    this.#borrowed = false;
    this.#bytes = this.#at < this.#end ? Buffer.from(this.#bytes.subarray(this.#at, this.#end)) : NOTHING;
    this.#end -= this.#at;
    this.#at = 0;
  }

  /** Closes the descriptors of messages that no one took. */
  [Symbol.dispose](): void {
    for (const fd of [...this.takeFds(), ...this.#partsFds, ...this.#fds]) close(fd);
    this.#fds = NO_FDS;
    this.#partsFds = NO_FDS;
    this.#bytes = NOTHING;
    this.#at = 0;
    this.#end = 0;
    this.#parts = undefined;
  }

  #checkSize(more: number): void {
    if (this.#partsSize + more > MAX_MESSAGE) throw new ProtocolError(`a message is longer than ${MAX_MESSAGE} bytes`);
  }

  #keepPart(): void {
    const size = this.#end - this.#at;
    // The NUL has to fit, too.
    this.#checkSize(size + 1);
    this.#parts ??= [];
    this.#parts.push(Buffer.from(this.#bytes.subarray(this.#at, this.#end)));
    this.#partsSize += size;
    if (this.#fds.length > 0) {
      this.#partsFds = [...this.#partsFds, ...this.#fds];
      this.#fds = NO_FDS;
      if (this.#partsFds.length > MAX_FDS) throw new ProtocolError('a message has too many file descriptors');
    }
    this.#bytes = NOTHING;
    this.#borrowed = false;
    this.#at = 0;
    this.#end = 0;
  }

  #join(at: number, nul: number): string | undefined {
    const whole = Buffer.concat([...(this.#parts ?? []), this.#bytes.subarray(at, nul)]);
    this.#parts = undefined;
    this.#partsSize = 0;
    return decodeText(whole, 0, whole.length);
  }
}
