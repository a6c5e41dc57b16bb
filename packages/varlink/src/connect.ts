import { isIP } from 'node:net';
import { EventLoop } from '@sdrx/event';
import {
  AF_INET,
  AF_INET6,
  checkMethods,
  connectAddress,
  connect as connectSocket,
  type Fd,
  makeSocket,
  SOCK_STREAM,
  setNonBlocking,
  unixSocket,
} from '@sdrx/linux';
import { requireText } from './arguments.js';
import { type Answer, type CallOptions, type ClientOptions, requireClientOptions, VarlinkClient } from './client.js';
import type { Method } from './interface.js';
import { parseServiceAddress } from './service-address.js';
import { type ServiceProcess, startProgram, startSsh } from './service-process.js';
import type { Fields, ValuesOf } from './struct.js';

/** A connected socket, and the process that speaks at its other end if we have started it. */
type Connection = { readonly socket: Fd } & Partial<ServiceProcess>;

/**
 * Connects to a service; the client speaks while the loop runs. A path, `unix:/run/x` or `@abstract` is a socket; `tcp:[::1]:8080`
 * passes no descriptors; `exec:/usr/bin/x` starts a program, `ssh-unix:host:/run/x` an ssh. Such a process is told to end (SIGTERM) when
 * the connection is closed, reaped by the loop, and killed if it is still there when the loop ends.
 *
 * @throws ENOENT, ECONNREFUSED, EACCES, and EAGAIN when too many others wait to be accepted; what `spawn` throws;
 * ServiceAddressError, TypeError or RangeError for a wrong argument
 */
export function connect(loop: EventLoop, address: string, options: ClientOptions = {}): VarlinkClient {
  checkMethods('loop', loop, 'an EventLoop', 'io');
  requireText(address, 'address');
  requireClientOptions(options);
  const { socket, end } = open(loop, address);
  return new VarlinkClient(loop, socket, options, end);
}

/**
 * Connects, calls a method and closes the connection, with a loop of its own: for programs that have none, and call now and then.
 *
 * @param address as for `connect`; a process that it starts has 5 seconds to end
 * @returns as `call` of a client
 * @throws as `connect` and `call` of a client, by the promise
 */
export async function callOnce<P extends Fields, R extends Fields>(
  address: string,
  method: Method<P, R>,
  parameters: ValuesOf<P>,
  options: CallOptions = {},
): Promise<Answer<R>> {
  requireText(address, 'address');
  const loop = new EventLoop();
  const finished = loop.run();
  try {
    const { socket, end, ended } = open(loop, address);
    try {
      using client = new VarlinkClient(loop, socket, {}, end);
      return await client.call(method, parameters, options);
    } finally {
      await ended?.();
    }
  } finally {
    loop.exit();
    await finished;
  }
}

function open(loop: EventLoop, address: string): Connection {
  const where = parseServiceAddress(address);
  switch (where.kind) {
    case 'unix':
      return { socket: connected(unixSocket(), (number) => connectSocket(number, where.path)) };
    case 'tcp': {
      const { host, port } = where;
      const family = isIP(host) === 4 ? 'inet' : 'inet6';
      return {
        socket: connected(makeSocket(family === 'inet' ? AF_INET : AF_INET6, SOCK_STREAM), (number) => {
          setNonBlocking(number, true);
          connectAddress(number, { family, host, port });
        }),
      };
    }
    case 'exec':
      return startProgram(loop, where.program);
    case 'ssh':
      return startSsh(loop, where.destination, where.path);
  }
}

/** The socket, which is closed if it can't be connected. */
function connected(socket: Fd, connect: (number: number) => void): Fd {
  try {
    connect(socket.number);
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}
