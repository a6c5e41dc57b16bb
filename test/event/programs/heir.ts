import { readFileSync, writeSync } from 'node:fs';
import { EventLoop, takeOver } from '@sdrx/event';
import { openFds } from '../../support/nothing-left.js';

// Takes over, says what it was handed, takes every other descriptor and no socket, and ends when it has heard the last words.
function say(what: unknown): void {
  writeSync(1, `${JSON.stringify(what)}\n`);
}

const variables = ['SDRX_RESTART_FD', 'LISTEN_FDS', 'WATCHDOG_PID', 'SYSTEMD_EXEC_PID'];
const atStart = openFds().length;
const predecessor = takeOver();
if (predecessor === undefined) throw new Error('there is nothing to take over');
const { generation, sockets, draining } = predecessor;
const loop = new EventLoop();
const finished = loop.run();
const state = await predecessor.state(loop);
const texts = Array.from({ length: Number(process.argv[2] ?? 0) }, (_, index) => {
  using fd = predecessor.take(`fd ${2 * index}`);
  return fd && readFileSync(`/proc/self/fd/${fd.number}`, 'utf8');
});
say({
  generation,
  sockets: sockets.map(({ name, passed, fileIdentity }) => ({ name, passed, fileIdentity })),
  draining: draining.length,
  state: typeof state === 'string' ? state.length : state,
  texts: [...new Set(texts)],
  env: Object.fromEntries(variables.map((name) => [name, process.env[name]])),
  pid: process.pid,
});
for (let step = 0; step < 30; step++) predecessor.progress(`step ${step}\nof 30`, 60_000);
await predecessor.ready();
say({ nothing: predecessor.take('fd 1') ?? null, sockets: sockets.length });
say({ succession: await predecessor.accepting() });
for await (const said of predecessor.messages()) say({ said });
predecessor[Symbol.dispose]();
loop.exit();
await finished;
// The loop's own and the channel are gone.
say({ left: openFds().length - atStart });
