// The longest that a client waits over a restart, beyond what it waits otherwise.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { askService, listenInet } from '@sdrx/event';
import { atExit } from '../support/at-exit.js';
import { Folder } from '../support/folder.js';
import { median, range } from '../support/statistics.js';
import { printMachine, printTable, times } from '../support/table.js';

const ROUNDS = 15;

/** Clients, half of which keep their connections. */
const CLIENTS = 4;

/** How long clients are watched after a restart, and how long they ask before it so that all is warm, in milliseconds. */
const AFTER = 500;

/** How much longer than otherwise a client may wait, in milliseconds. */
const AIM = 50;

const compiled = (name: string) => fileURLToPath(new URL(`restarted/${name}.js`, import.meta.url));

/** A service that is restarted in some way. */
interface Subject {
  readonly name: string;
  /** Resolves when it serves. */
  start(): Promise<void>;
  /** Resolves when a new process serves. */
  restart(): Promise<unknown>;
  stop(): Promise<unknown>;
  /** The longest wait of each round: without a restart, and over one; what the restart took; in milliseconds. */
  readonly usual: number[];
  readonly over: number[];
  readonly took: number[];
  failed: number;
}

using folder = new Folder();
const { port, socket } = listenAnywhere();

function listenAnywhere() {
  const socket = listenInet('127.0.0.1', 0);
  if (socket.address.family !== 'inet') throw new TypeError('it has no port');
  return { port: socket.address.port, socket };
}

/** Starts a program, and waits until it says that it is ready. */
async function begin(
  args: readonly string[],
  passed?: number,
): Promise<ChildProcess & { lines: AsyncIterator<string> }> {
  const command = [process.execPath, ...args];
  // Only the new process itself can tell the id that it is told.
  if (passed !== undefined) command.unshift('sh', '-c', 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"');
  const [file = '', ...rest] = command;
  const child = spawn(file, rest, { stdio: ['ignore', 'pipe', 'inherit', ...(passed === undefined ? [] : [passed])] });
  if (child.stdout === null) throw new TypeError('it has no output');
  atExit(() => child.kill('SIGKILL'));
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  await lines.next();
  return Object.assign(child, { lines });
}

function subject(name: string, ways: Pick<Subject, 'start' | 'restart' | 'stop'>): Subject {
  return { name, ...ways, usual: [], over: [], took: [], failed: 0 };
}

const control = folder.join('control');
const service = [compiled('service'), `tcp:127.0.0.1:${port}`, control];
let child: ChildProcess & { lines: AsyncIterator<string> };

const end = async (signal: NodeJS.Signals = 'SIGTERM') => {
  child.kill(signal);
  await once(child, 'exit');
};

const ours = subject('@sdrx/event: restart', {
  start: async () => {
    child = await begin(service, socket.fd.number);
  },
  restart: () => askService(control, 'restart'),
  stop: () => askService(control, 'stop').then(() => once(child.stdout ?? child, 'close')),
});

const stopAndStart = subject('the same stopped and started, with a socket that stays', {
  start: ours.start,
  restart: async () => {
    await end();
    await ours.start();
  },
  stop: end,
});

const byCluster = subject('node:cluster, a new worker before the old one goes', {
  start: async () => {
    child = await begin([compiled('cluster'), String(port)]);
  },
  restart: async () => {
    child.kill('SIGHUP');
    await child.lines.next();
  },
  stop: end,
});

/** Asks without a pause until it is stopped. */
class Client {
  longest = 0;
  failed = 0;
  #stopped = false;
  readonly #agent: Agent | false;
  readonly #ended: Promise<void>;

  constructor(keepAlive: boolean) {
    this.#agent = keepAlive && new Agent({ keepAlive, maxSockets: 1 });
    this.#ended = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#ended;
    if (this.#agent) this.#agent.destroy();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const begin = performance.now();
      await this.#ask().catch(() => this.failed++);
      this.longest = Math.max(this.longest, performance.now() - begin);
      await setTimeout(2);
    }
  }

  async #ask(): Promise<void> {
    const [response] = await once(request({ host: '127.0.0.1', port, agent: this.#agent }).end(), 'response');
    response.resume();
    await once(response, 'end');
  }
}

async function measure(subject: Subject): Promise<void> {
  await subject.start();
  const clients = Array.from({ length: CLIENTS }, (_, index) => new Client(index % 2 === 0));
  const longestWhile = async (work: () => Promise<unknown>) => {
    for (const client of clients) client.longest = 0;
    await work();
    return Math.max(...clients.map(({ longest }) => longest));
  };
  await setTimeout(AFTER);
  let took = 0;
  const over = await longestWhile(async () => {
    const begin = performance.now();
    await subject.restart();
    took = performance.now() - begin;
    await setTimeout(AFTER);
  });
  subject.took.push(took);
  subject.over.push(over);
  // As long as before: the longer one looks, the longer is the longest.
  subject.usual.push(await longestWhile(() => setTimeout(took + AFTER)));
  await Promise.all(clients.map((client) => client.stop()));
  subject.failed += clients.reduce((sum, { failed }) => sum + failed, 0);
  await subject.stop();
}

printMachine();
// That of node:cluster listens itself.
const passing = [ours, stopAndStart];
for (let round = 0; round < ROUNDS; round++) for (const each of passing) await measure(each);
socket[Symbol.dispose]();
for (let round = 0; round < ROUNDS; round++) await measure(byCluster);

const milliseconds = (value: number) => value.toFixed(1);
const beyond = ({ usual, over }: Subject) => median(over.map((value, round) => value - (usual[round] ?? 0)));
printTable([
  ['Longest wait, ms', 'usual', 'over a restart', 'range', 'to ours', 'beyond usual', 'restart took', 'lost', 'aim'],
  ...[ours, stopAndStart, byCluster].map((each) => [
    each.name,
    milliseconds(median(each.usual)),
    milliseconds(median(each.over)),
    range(each.over, milliseconds),
    times(median(each.over), median(ours.over)),
    milliseconds(beyond(each)),
    milliseconds(median(each.took)),
    String(each.failed),
    each !== ours ? '' : `≤ ${AIM} beyond, ${beyond(each) <= AIM ? 'met' : 'MISSED'}`,
  ]),
]);
console.log(`Medians of ${ROUNDS} restarts. ${CLIENTS} clients ask without a pause, half of them on connections that they keep; the longest wait of any of
them from the restart's begin to half a second after its end, and in as long a time without one. lost: requests that were refused or reset.`);
