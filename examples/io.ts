/**
 * Serves the clients of a Unix socket side by side, each by a source of its own: what one sends comes back.
 *
 *     node examples/dist/io.js @echo
 *     socat - ABSTRACT-CONNECT:echo
 */
import { EventLoop, exitOnSignal } from '@sdrx/event';
import { accept, bind, type Fd, listen, read, unixSocket, write } from '@sdrx/linux';
import { catchError, EMPTY, merge, mergeMap, type Observable, takeWhile } from 'rxjs';

const loop = new EventLoop();
using server = unixSocket();
bind(server.number, process.argv[2] ?? '@echo');
listen(server.number);

const buffer = Buffer.alloc(4096);
/** Sends back what has come. @returns whether the client is still there */
function answer(fd: number): boolean {
  const count = read(fd, buffer);
  if (count) write(fd, buffer, count);
  return count !== 0;
}

/** One client until it hangs up. What goes wrong with it ends it, and no other. */
function serve(client: Fd): Observable<unknown> {
  return loop.io(client, { own: true }).pipe(
    takeWhile(({ fd }) => answer(fd)),
    catchError(() => EMPTY),
  );
}

const clients = loop.io(server).pipe(
  mergeMap(() => {
    const client = accept(server.number);
    return client ? serve(client) : EMPTY;
  }),
);
const finished = loop.run(merge(exitOnSignal(loop), clients));
console.log('ready');
process.exitCode = await finished;
