// A service of @sdrx/event, with a socket that is passed or its own, that restarts without loss.
import { createServer } from 'node:http';
import { runService, ServedConnections } from '@sdrx/event';

const [, , address = '', control = ''] = process.argv;

process.exitCode = await runService(
  { sockets: { http: address }, restart: true, control },
  ({ sockets, serve, current }) => {
    const server = createServer((_, response) => response.end('hello\n'));
    serve(new ServedConnections(server).listen(sockets.http.fd));
    void current.then(() => console.log('ready'));
  },
);
