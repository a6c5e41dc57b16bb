import { discard } from '@sdrx/linux';
import { LimitError } from './limits.js';
import { decodeText } from './message.js';
import { type MessageBounds, MessageScanner, TOO_DEEP, TOO_LONG, UNFINISHED } from './message-scanner.js';
import { ProtocolError } from './varlink-error.js';

const NOTHING: Buffer = Buffer.alloc(0);
const NO_FDS: readonly number[] = [];

/** The first room for a message that does not come at once, in bytes; it grows by doubling. */
const FIRST_ROOM = 1024;

/** What may come into an inbox. */
export interface InboxBounds extends MessageBounds {
  /** Descriptors that may come with one message before its end. */
  readonly messageFds: number;
}

/** Whose an inbox is. */
export interface InboxOwner {
  /** Takes over the descriptors of messages that no one took; −1 stands for none. */
  dropFds(fds: readonly number[]): void;
  /** Whether a descriptor may be kept until its message ends; if not, it is dropped, and −1 stands in its place. */
  mayHold(fd: number): boolean;
}

/**
 * What a connection has received and not yet handled: splits bytes at each NUL into messages, however they were cut.
 *
 * Bytes are borrowed from the receive buffer (`add`) while messages are taken out (`next`); `settle` copies what is left.
 * A connection on which nothing is left holds no bytes. Each byte of a message is judged when it comes in, so that nothing is
 * kept of one that is too long or too deep.
 *
 * Descriptors that come with a receive belong to the message that the last byte of this receive belongs to: the kernel
 * ends a receive after the bytes that descriptors were sent with, so bytes before them may be of earlier messages, which
 * were sent without. A sender that puts several messages into one sendmsg(2) gives its descriptors to the last of them.
 */
export class Inbox implements Disposable {
  readonly #bounds: InboxBounds;
  readonly #owner: InboxOwner;
  readonly #scanner: MessageScanner;
  /** The borrowed or kept bytes that have not been looked at: from `#at` to `#end`. */
  #bytes: Buffer = NOTHING;
  #at = 0;
  #end = 0;
  #borrowed = false;
  /** Descriptors of the last message in `#bytes`. */
  #fds: readonly number[] = NO_FDS;
  /** The beginning of a message whose end has not come yet, before `#bytes`. */
  #part: Buffer | undefined;
  #partSize = 0;
  #partFds: readonly number[] = NO_FDS;
  /** Descriptors of the message that `next` returned last. */
  #messageFds: readonly number[] = NO_FDS;

  constructor(bounds: InboxBounds, owner: InboxOwner) {
    this.#bounds = bounds;
    this.#owner = owner;
    this.#scanner = new MessageScanner(bounds);
  }

  /** Whether a message has begun to arrive, or arrived, that `next` has not returned. */
  get holdsBytes(): boolean {
    return this.#at < this.#end || this.#part !== undefined;
  }

  /** Whether all that is left is a message that has begun and not ended. */
  get unfinished(): boolean {
    return this.#part !== undefined && this.#at >= this.#end;
  }

  /** How many members all objects of the message have together that `next` returned last. */
  get members(): number {
    return this.#scanner.members;
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
   * @throws LimitError for one that is too long, too deep or brought too many descriptors before its end, ProtocolError for one
   * that is no UTF-8; then the connection is of no use
   */
  next(): string | undefined {
    const at = this.#at;
    if (at >= this.#end) return undefined;
    const nul = this.#scanner.scan(this.#bytes, at, this.#end);
    if (nul === UNFINISHED) {
      this.#keepPart();
      return undefined;
    }
    if (nul === TOO_LONG) throw new LimitError('messageSize');
    if (nul === TOO_DEEP) throw new LimitError('messageDepth');
    this.#at = nul + 1;
    const text = this.#part === undefined ? decodeText(this.#bytes, at, nul) : this.#join(at, nul);
    if (this.#partFds.length > 0) {
      this.#messageFds = this.#partFds;
      this.#partFds = NO_FDS;
    }
    if (this.#fds.length > 0 && this.#at === this.#end) {
      this.#messageFds = this.#messageFds.length === 0 ? this.#fds : [...this.#messageFds, ...this.#fds];
      this.#fds = NO_FDS;
    }
    if (text === undefined) throw new ProtocolError('a message is no UTF-8');
    return text;
  }

  /** The descriptors of the message that `next` just returned; they are the caller's from now on. */
  takeFds(): readonly number[] {
    const fds = this.#messageFds;
    this.#messageFds = NO_FDS;
    return fds;
  }

  /** What `next` has not looked at, which is no message; it is the caller's from now on. */
  takeRest(): Buffer {
    const rest = this.#bytes.subarray(this.#at, this.#end);
    const taken = this.#borrowed ? Buffer.from(rest) : rest;
    this.#bytes = NOTHING;
    this.#at = 0;
    this.#end = 0;
    return taken;
  }

  /** Makes what is left independent of the bytes given to `add`. */
  settle(): void {
    if (!this.#borrowed) return;
    this.#borrowed = false;
    this.giveUp();
    const size = this.#end - this.#at;
    if (size === 0) {
      this.#bytes = NOTHING;
    } else {
      const kept = Buffer.allocUnsafeSlow(size);
      this.#bytes.copy(kept, 0, this.#at, this.#end);
      this.#bytes = kept;
    }
    this.#end = size;
    this.#at = 0;
  }

  /** Closes the descriptors of messages that are not taken out yet, those that may not be held. */
  giveUp(): void {
    this.#fds = this.#holdable(this.#fds);
  }

  /** Gives up the bytes and the descriptors of messages that no one took. */
  [Symbol.dispose](): void {
    const fds = [...this.takeFds(), ...this.#partFds, ...this.#fds];
    this.#fds = NO_FDS;
    this.#partFds = NO_FDS;
    if (!this.#borrowed) discard(this.#bytes);
    this.#bytes = NOTHING;
    this.#at = 0;
    this.#end = 0;
    this.#dropPart();
    if (fds.length > 0) this.#owner.dropFds(fds);
  }

  #keepPart(): void {
    const size = this.#end - this.#at;
    const part = this.#roomFor(this.#partSize + size);
    this.#bytes.copy(part, this.#partSize, this.#at, this.#end);
    this.#partSize += size;
    if (!this.#borrowed) discard(this.#bytes);
    this.#bytes = NOTHING;
    this.#borrowed = false;
    this.#at = 0;
    this.#end = 0;
    if (this.#fds.length === 0) return;
    this.#partFds = [...this.#partFds, ...this.#holdable(this.#fds)];
    this.#fds = NO_FDS;
    if (this.#partFds.length > this.#bounds.messageFds) throw new LimitError('messageFds');
  }

  #holdable(fds: readonly number[]): readonly number[] {
    if (fds.length === 0) return fds;
    const unwanted = fds.filter((fd) => fd >= 0 && !this.#owner.mayHold(fd));
    if (unwanted.length === 0) return fds;
    this.#owner.dropFds(unwanted);
    return fds.map((fd) => (unwanted.includes(fd) ? -1 : fd));
  }

  /** One piece of memory, so that a message in many small parts takes no more than its bytes. */
  #roomFor(size: number): Buffer {
    const part = this.#part;
    if (part !== undefined && size <= part.length) return part;
    const room = Math.max(FIRST_ROOM, 2 ** Math.ceil(Math.log2(size)));
    const larger = Buffer.allocUnsafeSlow(Math.min(room, Math.max(size, this.#bounds.messageSize)));
    if (part !== undefined) {
      part.copy(larger, 0, 0, this.#partSize);
      discard(part);
    }
    this.#part = larger;
    return larger;
  }

  #join(at: number, nul: number): string | undefined {
    const size = this.#partSize;
    const whole = this.#roomFor(size + nul - at);
    this.#bytes.copy(whole, size, at, nul);
    const text = decodeText(whole, 0, size + nul - at);
    this.#dropPart();
    return text;
  }

  #dropPart(): void {
    if (this.#part !== undefined) discard(this.#part);
    this.#part = undefined;
    this.#partSize = 0;
  }
}
