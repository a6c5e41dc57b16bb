import { close, ReceiveBuffer, socketProperties } from '@sdrx/linux';
import { isLeft } from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';

/** Where the listening socket is to be, and where orders come from. */
const SOCKET_FD = 3;
const ORDERS_FD = 4;

/** Of what is received at a time, in bytes: the environment is most of it. */
const PIECE = 4096;

/** Arguments, and all of the environment but LISTEN_PID. */
const Orders = t.type({ args: t.array(t.string), env: t.record(t.string, t.string) }, 'Orders');

/**
 * Waits until the manager says what this process is to do (`EarlyWorker`), and makes it what it would be if it had been started so: with
 * that environment, and the listening socket as descriptor 3.
 * @returns the arguments; undefined if the manager wants nothing of it. Throws ENOTSOCK where no manager is.
 */
export function takeOrders(): string[] | undefined {
  // If nobody passed one, descriptors of Node's own have these numbers, which must stay.
  socketProperties(ORDERS_FD);
  // What is there only kept the number free, which is the lowest one then, and so that of the socket.
  close(SOCKET_FD);
  const buffer = new ReceiveBuffer(PIECE);
  const fds: number[] = [];
  const pieces: Buffer[] = [];
  for (let count = 0; pieces.at(-1)?.at(-1) !== 0; pieces.push(Buffer.from(buffer.bytes.subarray(0, count)))) {
    count = buffer.receive(ORDERS_FD, fds) ?? 0;
    if (count === 0) return undefined;
  }
  close(ORDERS_FD);
  const orders = Orders.decode(JSON.parse(Buffer.concat(pieces).subarray(0, -1).toString()));
  if (isLeft(orders) || fds.length !== 1 || fds[0] !== SOCKET_FD) throw new Error('the orders are malformed');
  const { args, env } = orders.right;
  for (const variable of Object.keys(process.env)) delete process.env[variable];
  Object.assign(process.env, env, { LISTEN_PID: String(process.pid) });
  return args;
}
