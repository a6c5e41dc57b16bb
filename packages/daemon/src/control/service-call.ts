import {
  connect,
  isSystemError,
  ReceiveBuffer,
  sendMessage,
  setNonBlocking,
  setReceiveTimeout,
  unixSocket,
} from '@sdrx/linux';
import { isLeft } from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { ServiceError } from './service-error.js';

/** How long a reply is waited for, in milliseconds: as long as clients of systemd do. */
const CALL_TIME = 45_000;

const Reply = t.partial({ parameters: t.UnknownRecord, error: t.string });

/**
 * Calls one Varlink method on a connection of its own, and waits for the reply. For programs that do nothing else: it needs no
 * event loop, so it takes little to load.
 * @param path of the service's socket
 * @param fds descriptors to pass along; they stay the caller's
 * @returns the reply's parameters
 * @throws ServiceError for an error reply; Error that says what to do where nobody listens, and for what is no reply; SystemError
 */
export function callService(
  path: string,
  method: string,
  parameters: object,
  fds: readonly number[] = [],
): Readonly<Record<string, unknown>> {
  using socket = unixSocket();
  setNonBlocking(socket.number, false);
  setReceiveTimeout(socket.number, CALL_TIME);
  try {
    connect(socket.number, path);
  } catch (error) {
    if (!isSystemError(error, 'ENOENT', 'ECONNREFUSED')) throw error;
    throw new Error(
      `no daemon listens at ${path}: start one, by 'systemctl start systemd-nsresourced.socket' or nsresourced; ` +
        "'nsresourcectl check' tells what this machine can do",
      { cause: error },
    );
  }
  send(socket.number, Buffer.from(`${JSON.stringify({ method, parameters })}\0`), fds);
  return decode(method, receive(socket.number, path));
}

/** What is sent first has the descriptors with it. */
function send(socket: number, message: Buffer, fds: readonly number[]): void {
  let sent = sendMessage(socket, message, { fds }) ?? 0;
  while (sent < message.length) sent += sendMessage(socket, message.subarray(sent)) ?? 0;
}

function receive(socket: number, path: string): string {
  const buffer = new ReceiveBuffer(65_536);
  const chunks: Buffer[] = [];
  for (;;) {
    const count = buffer.receive(socket, []);
    if (count === undefined) throw new Error(`no reply came from ${path} within ${CALL_TIME / 1000} s`);
    if (count === 0) throw new Error(`the service at ${path} has closed the connection without a reply`);
    chunks.push(Buffer.from(buffer.bytes.subarray(0, count)));
    if (buffer.bytes[count - 1] === 0) return Buffer.concat(chunks).toString().slice(0, -1);
  }
}

function decode(method: string, text: string): Readonly<Record<string, unknown>> {
  const reply = Reply.decode(json(text));
  if (isLeft(reply)) throw new Error(`what came as a reply to ${method} is none: ${text.slice(0, 200)}`);
  const { error, parameters = {} } = reply.right;
  if (error !== undefined) throw new ServiceError(error, parameters);
  return parameters;
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
