/**
 * Exports a file or block device to NBD clients: qemu, libnbd, the kernel.
 *
 *     node examples/dist/nbd-export.js disk.img --listen=unix:/run/disk.sock [--read-only]
 *     nbdinfo 'nbd+unix:///?socket=/run/disk.sock'
 *
 * Activated, it serves the sockets that it is passed. nbd-export/README.md has more.
 */
import { createServer, type Socket } from 'node:net';
import { parseArgs } from 'node:util';
import {
  EventLoop,
  type ListeningSocket,
  listenInet,
  listenUnix,
  notify,
  parseListenAddress,
  Scope,
  ServedConnections,
  watchdog,
} from '@sdrx/event';
import type { Signal, SocketAddress } from '@sdrx/linux';
import { merge, mergeMap, tap } from 'rxjs';
import { ExportFile } from './nbd-export/export-file.js';
import { passedSockets } from './nbd-export/passed-sockets.js';
import { serveClient } from './nbd-export/serve-client.js';
import { Wire } from './nbd-export/wire.js';

const DEFAULT_ADDRESS = 'tcp:localhost:10809';
const END: readonly Signal[] = ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP'];

const loop = new EventLoop();
const scope = new Scope({ deadline: 10_000 });

/** Serves the connections of a socket, which is Node's from then on. */
function serve(fd: number, file: ExportFile): ServedConnections {
  const wires = new WeakMap<Socket, Wire>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const wire = new Wire(socket);
    wires.set(socket, wire);
    serveClient(wire, file);
  });
  const served = new ServedConnections(server, { connection: (socket) => wires.get(socket)?.leave() });
  server.listen({ fd });
  return served;
}

function listenAt(text: string): ListeningSocket {
  const address = parseListenAddress(text);
  if (address.type !== 'stream') throw new TypeError(`--listen=${text}: NBD needs unix:PATH or tcp:HOST:PORT`);
  return address.kind === 'unix' ? listenUnix(address.path, { mode: 0o600 }) : listenInet(address.host, address.port);
}

/** As clients want it. https://github.com/NetworkBlockDevice/nbd/blob/master/doc/uri.md */
function uriOf(address: SocketAddress): string {
  if (address.family === 'unix') return `nbd+unix:///?socket=${address.path}`;
  if (address.family === 'vsock') return `nbd+vsock://${address.cid}:${address.port}`;
  return `nbd://${address.family === 'inet6' ? `[${address.host}]` : address.host}:${address.port}`;
}

/**
 * Serves what the command line says.
 * @returns where it listens, unless it was passed its sockets
 * Throws what the command line, the environment or the file is to blame for.
 */
async function start(): Promise<string | undefined> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { listen: { type: 'string' }, 'read-only': { type: 'boolean', default: false } },
  });
  const [path, ...others] = positionals;
  if (path === undefined || others.length > 0) throw new TypeError('the command line must name one file to export');
  const passed = passedSockets();
  if (passed.length > 0 && values.listen !== undefined) {
    throw new TypeError(`--listen=${values.listen} can't be given to a service that is activated with its sockets`);
  }
  const file = scope.use('file', await ExportFile.open(path, { readOnly: values['read-only'] }));
  const own = passed.length === 0 ? listenAt(values.listen ?? DEFAULT_ADDRESS) : undefined;
  const served = [own ?? [], passed].flat().map(({ fd }) => serve(fd.take(), file));
  scope.add('connections', (ending) => Promise.all(served.map((connections) => connections.drain(ending))));
  // Behind them, so that its path is the first thing that goes.
  return own && uriOf(scope.use('socket', own).address);
}

const ended = merge(...END.map((signal) => loop.signal(signal))).pipe(
  tap({ next: () => notify({ STOPPING: 1 }) }),
  // A second signal hurries the end.
  mergeMap((_, index) => scope.end(index === 0 ? 'graceful' : 'immediate')),
  tap(() => loop.exit()),
);

try {
  const uri = await start();
  const finished = loop.run(merge(ended, watchdog(loop)));
  notify({ READY: 1 });
  if (uri !== undefined) console.log(`listening at ${uri}`);
  process.exitCode = await finished;
} catch (error) {
  console.error(`nbd-export: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
  await scope.end('immediate');
}
