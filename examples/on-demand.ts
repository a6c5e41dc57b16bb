/**
 * A clock that runs while somebody asks: a Varlink service that systemd starts at the first call, and that leaves when it is idle.
 *
 *     systemd-socket-activate --listen=/run/clock node examples/dist/on-demand.js --idle=60
 *     varlinkctl call /run/clock org.example.clock.Now '{"zone":"Europe/Berlin"}'
 *
 * Or for one connection, or by hand. on-demand/README.md has more.
 */
import { parseArgs } from 'node:util';
import { parseListenAddress, runService } from '@sdrx/event';
import { ServedVarlink, type ServerEvent, service } from '@sdrx/varlink';
import { clockService } from './on-demand/clock.js';

const INFO = { vendor: 'sdrx', product: 'on-demand', version: '1', url: 'https://varlink.org' };
/** When it leaves unless it is told, in milliseconds; only if it is activated, as by hand nobody starts it again. */
const IDLE = 30_000;

/** In milliseconds; undefined for never. */
function idleTime(text: string): number | undefined {
  if (text === 'infinity') return undefined;
  if (!/^\d+(\.\d+)?$/.test(text)) throw new TypeError(`--idle=${text} must be a number of seconds, or infinity`);
  return Number(text) * 1000;
}

function report(error: unknown): void {
  console.error(`on-demand: ${error instanceof Error ? error.message : error}`);
}

function tell(event: ServerEvent): void {
  if (event.type === 'failed' || event.type === 'exhausted') report(event.error);
}

/** Runs it to its end. @returns the exit status */
function run(): Promise<number> {
  const { values } = parseArgs({ options: { listen: { type: 'string' }, idle: { type: 'string' } } });
  const { listen = `unix:${process.env.XDG_RUNTIME_DIR ?? '/run'}/on-demand.sock` } = values;
  const { kind, type } = parseListenAddress(listen);
  if (kind !== 'unix' || type !== 'stream') throw new TypeError(`--listen=${listen} must be unix:PATH`);
  const after = values.idle === undefined ? IDLE : idleTime(values.idle);
  const idle = after === undefined ? {} : { idle: { after, always: values.idle !== undefined } };
  const sockets = { clock: { address: listen, connection: true } };
  const conflicts = { '--listen': values.listen };
  return runService({ sockets, conflicts, ...idle, deadline: 10_000, report }, (it) => {
    it.serve(new ServedVarlink(it.loop, service(INFO, clockService(it.loop)), it.sockets.clock.fd)).events.subscribe(
      tell,
    );
    if (!it.activated) void it.current.then(() => console.log(`listening at ${listen}`));
  });
}

try {
  process.exitCode = await run();
} catch (error) {
  report(error);
  process.exitCode = 1;
}
