import { ECONNRESET, EPIPE, EPOLLHUP, EPOLLIN, SystemError } from '@sdrx/linux';
import { OpenFile } from './open-file.js';

/** What goes by a channel. */
export interface SimulatedMessage {
  readonly bytes: Uint8Array;
  readonly files: readonly OpenFile[];
}

/** How many messages wait at most; more are not taken. */
const ROOM = 64;

/** One end of a socket pair of the type SOCK_SEQPACKET. unix(7) */
export class ChannelEnd extends OpenFile {
  readonly #queue: SimulatedMessage[] = [];
  readonly #later: (call: () => void) => void;
  #peer: ChannelEnd | undefined;
  #isReset = false;

  private constructor(later: (call: () => void) => void) {
    super();
    this.#later = later;
  }

  /** @param later calls when whoever waits is told that something has come */
  static pair(later: (call: () => void) => void): readonly [ChannelEnd, ChannelEnd] {
    const [one, other] = [new ChannelEnd(later), new ChannelEnd(later)];
    one.#peer = other;
    other.#peer = one;
    return [one, other];
  }

  /** @returns undefined where there is no room. @throws EPIPE */
  send(message: SimulatedMessage): number | undefined {
    const peer = this.#peer;
    if (peer === undefined) throw new SystemError(EPIPE, 'sendmsg');
    if (peer.#queue.length >= ROOM) return undefined;
    for (const file of message.files) file.hold();
    peer.#queue.push(message);
    this.#later(() => peer.#look());
    return message.bytes.length;
  }

  /** @returns undefined if there is nothing, and nothing at the end. @throws ECONNRESET */
  receive(): SimulatedMessage | 'end' | undefined {
    if (this.#isReset) {
      // Once, and before what waits.
      this.#isReset = false;
      throw new SystemError(ECONNRESET, 'recvmsg');
    }
    const message = this.#queue.shift();
    this.#look();
    return message ?? (this.#peer === undefined ? 'end' : undefined);
  }

  protected override gone(): void {
    const peer = this.#peer;
    if (peer !== undefined) {
      peer.#isReset = this.#queue.length > 0;
      peer.#peer = undefined;
      this.#later(() => peer.#look());
    }
    this.#peer = undefined;
    for (const { files } of this.#queue.splice(0)) for (const file of files) file.release();
  }

  #look(): void {
    const isOver = this.#peer === undefined;
    this.becomes((this.#queue.length > 0 || isOver ? EPOLLIN : 0) | (isOver ? EPOLLHUP : 0));
  }
}
