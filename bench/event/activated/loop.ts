import { createServer } from 'node:http';
import { EventLoop, exitOnSignal, idle, openSockets, Scope, ServedConnections } from '@sdrx/event';
import { merge, take, tap } from 'rxjs';

const loop = new EventLoop();
const { http } = openSockets({ http: 'tcp:127.0.0.1:8080' });
const server = createServer((_, response) => response.end('hello\n'));
const connections = new ServedConnections(server).listen(http.fd);
connections.resume();

const scope = new Scope();
scope.use('socket', http);
scope.add('http', (ending) => connections.drain(ending));

const isIdle = idle(loop, [connections], { after: 60_000 }).pipe(tap(() => loop.exit()));
await loop.run(merge(exitOnSignal(loop), isIdle).pipe(take(1)));
await scope.end();
