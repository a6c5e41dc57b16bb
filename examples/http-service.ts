/**
 * A web service that loses no request: activated by its socket or on its own, it drains at its end, restarts without a gap on SIGHUP,
 * and leaves when nobody wants anything.
 *
 *     node examples/dist/http-service.js --listen=tcp:127.0.0.1:8080 --control=/run/http-service.control
 *     curl http://127.0.0.1:8080/pid
 *
 * http-service/README.md has its units, and what it answers.
 */
import { createServer } from 'node:http';
import { runService, ServedConnections } from '@sdrx/event';
import { type CommandLine, readCommandLine } from './http-service/command-line.js';
import { upgradeToEcho } from './http-service/echo.js';
import { Pages } from './http-service/pages.js';

function run({ listen, idle, readyWithin, pidFile, control }: CommandLine): Promise<number> {
  const pages = new Pages();
  return runService(
    {
      sockets: {
        http: { address: listen ?? 'tcp:127.0.0.1:8080', several: true },
        admin: { optional: true },
      },
      conflicts: { '--listen': listen },
      restart: { state: () => pages.served, ...(readyWithin === undefined ? {} : { readyWithin }) },
      ...(idle === undefined ? {} : { idle }),
      ...(pidFile === undefined ? {} : { pidFile }),
      ...(control === undefined ? {} : { control }),
    },
    ({ loop, serve, sockets, state, generation, current }) => {
      pages.served = typeof state === 'number' ? state : 0;
      for (const { fd } of sockets.http) {
        const server = createServer((request, response) => pages.answer(request, response));
        serve(new ServedConnections(server.on('upgrade', upgradeToEcho)).listen(fd));
      }
      if (sockets.admin) {
        const status = () => ({ pid: process.pid, generation, served: pages.served, cached: pages.cached });
        const server = createServer((_, response) => response.end(`${JSON.stringify(status())}\n`));
        serve(new ServedConnections(server).listen(sockets.admin.fd));
      }
      void current.then(() => console.log(`process ${process.pid} is the service`));
      loop.memoryPressure().subscribe({
        next: () => {
          console.log(`memory is short: ${pages.cached} pages are forgotten`);
          pages.forget();
        },
        error: (error: Error) => console.log(`memory pressure is not heeded: ${error.message}`),
      });
    },
  );
}

try {
  process.exitCode = await run(readCommandLine());
} catch (error) {
  console.error(`http-service: ${(error as Error).message.replaceAll('\n', ' ')}`);
  process.exitCode = 1;
}
