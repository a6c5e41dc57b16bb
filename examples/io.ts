/**
 * Serves the clients of a Unix socket side by side, each by a source of its own: what one sends comes back.
 *
 *     node examples/dist/io.js @echo
 *     socat - ABSTRACT-CONNECT:echo
 */
import { EventLoop, exitOnSignal } from '@sdrx/event';
import { accept, bind, type Fd, listen, read, unixSocket, write } from '@sdrx/linux';
import { catchError, EMPTY, finalize, map, merge, mergeMap, type Observable, takeWhile, tap } from 'rxjs';

const loop = new EventLoop();
const buffer = Buffer.alloc(4096);
using server = unixSocket();
bind(server.number, process.argv[2] ?? '@echo');
listen(server.number);

/** One client until it hangs up. What goes wrong with it ends it, and no other. */
function echo(client: Fd): Observable<number> {
  return loop.io(client.number).pipe(
    map(() => read(client.number, buffer) ?? 0),
    takeWhile((count) => count > 0),
    tap((count) => write(client.number, buffer, count)),
    catchError(() => EMPTY),
    finalize(() => client.close()),
  );
}

const clients = loop.io(server.number).pipe(
  map(() => accept(server.number)),
  mergeMap((client) => (client ? echo(client) : EMPTY)),
);
const finished = loop.run(merge(exitOnSignal(loop), clients));
console.log('ready');
process.exitCode = await finished;
