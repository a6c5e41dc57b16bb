import type { Socket } from 'node:net';
import { clearTimeout, setInterval, setTimeout } from 'node:timers';

/** How long a client that is left is waited for, in milliseconds. */
const PATIENCE = 5000;
/** How long one that was sent everything has to hang up. */
const HANG_UP = 200;

const NOTHING = Buffer.alloc(0);

/** The other end is gone. */
export class Disconnected extends Error {
  override readonly name = 'Disconnected';
}

/** The bytes of a connection, taken and sent one after another: who waits for a client to take its answer takes no more of it. */
export class Wire {
  readonly #socket: Socket;
  /** How many bytes were taken. */
  #taken = 0;
  /** How many are to be answered at all. */
  #last = Number.POSITIVE_INFINITY;
  /** Has who waits for the client look again. */
  #wake: (() => void) | undefined;
  #limit: NodeJS.Timeout | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    for (const event of ['readable', 'end', 'drain', 'close']) socket.on(event, () => this.#wake?.());
    // `close` follows.
    socket.on('error', () => {});
    socket.once('close', () => clearTimeout(this.#limit));
  }

  /**
   * Takes as many bytes, but only if there is more to come.
   * @returns undefined at the end, the other's or that of `leave`
   * Throws Disconnected for an end within them.
   */
  async takeNext(size: number): Promise<Buffer | undefined> {
    // To read nothing has Node notice the end.
    while (this.#socket.read(0) === null && this.#socket.readableLength === 0) {
      if (this.#isOver || this.#taken >= this.#last) return undefined;
      await this.#change();
    }
    return this.#taken < this.#last ? this.take(size) : undefined;
  }

  /** Takes as many bytes. Throws Disconnected. */
  async take(size: number): Promise<Buffer> {
    while (size > 0) {
      const bytes: Buffer | null = this.#socket.read(size);
      if (bytes?.length === size) {
        this.#taken += size;
        return bytes;
      }
      if (bytes !== null || this.#isOver) throw new Disconnected('the client is gone');
      await this.#change();
    }
    return NOTHING;
  }

  /** Sends, and waits as long as too much is not taken yet. Throws Disconnected. */
  async send(...parts: readonly Buffer[]): Promise<void> {
    this.#socket.cork();
    for (const part of parts) this.#socket.write(part);
    this.#socket.uncork();
    while (this.#socket.writableNeedDrain && !this.#socket.destroyed) await this.#change();
    if (this.#socket.destroyed) throw new Disconnected('the client is gone');
  }

  /** Has `takeNext` end behind what has come so far. */
  leave(): void {
    if (this.#socket.writableEnded) return;
    this.#last = this.#socket.bytesRead;
    clearTimeout(this.#limit);
    // A file that takes long is no fault of the client's.
    this.#limit = setInterval(() => this.#wake && this.#socket.destroy(), PATIENCE);
    this.#wake?.();
  }

  /** Ends the connection behind what was sent. To close it with something unread could lose that. */
  end(): void {
    this.#socket.end(() => this.#hangUpWithin(HANG_UP));
    this.#socket.removeAllListeners('readable').resume();
    this.#hangUpWithin(PATIENCE);
  }

  get #isOver(): boolean {
    return this.#socket.readableEnded || this.#socket.destroyed;
  }

  async #change(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
  }

  #hangUpWithin(time: number): void {
    clearTimeout(this.#limit);
    if (!this.#socket.destroyed) this.#limit = setTimeout(() => this.#socket.destroy(), time);
  }
}
