import { connect, isSystemError, ReceiveBuffer, sendMessage, unixSocket } from '@sdrx/linux';
import { readable } from './readable.js';

/** A reply as it comes over the wire. */
export interface RawReply {
  readonly error?: string;
  readonly parameters?: Readonly<Record<string, unknown>>;
}

export interface RawCallOptions {
  /** Descriptors that are passed along. */
  readonly fds?: readonly number[];
  /** Further keys of the message, such as `more`. */
  readonly keys?: Readonly<Record<string, unknown>>;
  /** Gets the descriptors that come with the reply, which are the caller's to close. */
  readonly received?: number[];
}

/** Calls a method over a connection of its own, as a client that knows nothing but JSON. Rejects when that is closed. */
export async function varlinkCall(
  path: string,
  method: string,
  parameters: unknown = {},
  { fds = [], keys = {}, received = [] }: RawCallOptions = {},
): Promise<RawReply> {
  using socket = unixSocket();
  connect(socket.number, path);
  sendMessage(socket.number, Buffer.from(`${JSON.stringify({ method, parameters, ...keys })}\0`), { fds });
  const buffer = new ReceiveBuffer(65536);
  for (let text = ''; ; ) {
    await readable(socket.number);
    const count = receive(buffer, socket.number, received);
    if (count === 0) throw new Error(`${method}: connection closed without a reply`);
    text += buffer.bytes.toString('utf8', 0, count);
    if (text.endsWith('\0')) return JSON.parse(text.slice(0, -1));
  }
}

function receive(buffer: ReceiveBuffer, socket: number, received: number[]): number {
  try {
    return buffer.receive(socket, received) ?? 0;
  } catch (error) {
    // It was closed with what we sent unread.
    if (isSystemError(error, 'ECONNRESET')) return 0;
    throw error;
  }
}
