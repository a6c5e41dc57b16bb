import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** Two of Node's own sockets that are connected with each other, in no file system. unix(7) */
export async function socketPair(): Promise<[Socket, Socket]> {
  const path = `\0sdrx-bench-${process.pid}`;
  const server = createServer().listen(path);
  const one = connect(path);
  const [[other]] = (await Promise.all([once(server, 'connection'), once(one, 'connect')])) as [[Socket], unknown];
  server.close();
  return [one, other];
}
