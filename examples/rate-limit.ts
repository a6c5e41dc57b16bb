/**
 * Answers at most three requests in five seconds, whoever sends them; what comes beyond waits in the socket. An impatient
 * administrator lifts the limit once with SIGUSR2.
 *
 *     node examples/dist/rate-limit.js @requests
 *     printf hello | socat - ABSTRACT-SENDTO:requests
 */
import { EventLoop, exitOnSignal } from '@sdrx/event';
import { bind, read, SOCK_DGRAM, unixSocket } from '@sdrx/linux';
import { merge, tap } from 'rxjs';

const loop = new EventLoop();
using socket = unixSocket(SOCK_DGRAM);
bind(socket.number, process.argv[2] ?? '@requests');

const buffer = Buffer.alloc(4096);
const ratelimit = {
  interval: 5000,
  burst: 3,
  onExpire: () => console.log('five seconds are over'),
  leave: loop.signal('SIGUSR2'),
};
const requests = loop.io(socket, { ratelimit }).pipe(
  tap(() => {
    console.log(`request: ${buffer.toString('utf8', 0, read(socket.number, buffer))}`);
  }),
);
const finished = loop.run(merge(exitOnSignal(loop), requests));
console.log(`process ${process.pid} is ready`);
process.exitCode = await finished;
