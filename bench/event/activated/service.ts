import { createServer } from 'node:http';
import { runService, ServedConnections } from '@sdrx/event';

process.exitCode = await runService({ sockets: { http: 'tcp:127.0.0.1:8080' }, idle: 60_000 }, ({ serve, sockets }) => {
  const server = createServer((_, response) => response.end('hello\n'));
  serve(new ServedConnections(server).listen(sockets.http.fd));
});
