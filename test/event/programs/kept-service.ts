import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { runService, ServedConnections } from '@sdrx/event';
import { memoryFile, write } from '@sdrx/linux';

// A service that the service manager starts again, or one for a single connection: it says in its answers what it was handed.
let served = 0;
process.exitCode = await runService(
  {
    sockets: { web: { address: 'unix:@unused', connection: true } },
    restart: {
      by: 'manager',
      state: () => ({ served }),
      last: () => 'the end',
      fds: () => {
        const file = memoryFile('kept');
        write(file.number, Buffer.from(`of ${process.pid}`));
        return { kept: file };
      },
    },
  },
  ({ serve, sockets, state, last, generation, take, restart }) => {
    const kept = take('kept') !== undefined;
    const before = (state as { served?: number } | undefined)?.served ?? null;
    let lastWord: unknown = null;
    last.subscribe((value) => {
      lastWord = value;
    });
    const server = createServer((request, response) => {
      served++;
      if (request.url === '/restart') {
        restart().then(
          (pid) => response.end(`restarts ${pid}\n`),
          (error: Error & { reason?: string }) => response.end(`refused: ${error.reason}\n`),
        );
        return;
      }
      response.end(`${JSON.stringify({ pid: process.pid, before, last: lastWord, kept, generation })}\n`);
    });
    serve(new ServedConnections(server).listen(sockets.web.fd));
    writeFileSync(1, 'ready\n');
  },
);
