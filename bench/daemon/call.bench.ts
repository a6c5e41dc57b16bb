// What one call takes of a client who is alone, and what of that is the kernel's, Node's and ours.
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Child } from '../support/child.js';
import { compile } from '../support/compile.js';
import { Debian } from '../support/debian.js';
import { Folder } from '../support/folder.js';
import { allocate, type CallsOptions, getUserRecords } from '../support/load.js';
import { processorTime } from '../support/processes.js';
import { copyRegistry, ours, Service, systemd } from '../support/service.js';
import { median, range } from '../support/statistics.js';
import { printMachine, printTable, times } from '../support/table.js';

const ROUNDS = 7;
/** Calls one after the other, and calls with a pause before each, in milliseconds. */
const CALLS = 3000;
const PAUSED_CALLS = 150;
const PAUSE = 10;
const SECONDS = 60;
/** Before each run, in milliseconds: of systemd's workers, which serve 64 connections each, no more than 250 may start within 2 s. */
const REST = 500;

interface Contestant {
  readonly name: string;
  readonly socket: string;
  processorTime(): number;
}

interface Figures {
  readonly latency: number[];
  readonly p99: number[];
  readonly cost: number[];
}

const WAYS: readonly { readonly name: string; readonly test: Omit<CallsOptions, 'socket' | 'clients' | 'seconds'> }[] =
  [
    { name: 'a connection a call', test: { connections: 'one a call', calls: CALLS } },
    { name: 'a connection that is kept', test: { connections: 'kept', calls: CALLS } },
    {
      name: `a connection a call, ${PAUSE} ms after the one before`,
      test: { connections: 'one a call', calls: PAUSED_CALLS, pause: PAUSE },
    },
    {
      name: `a connection that is kept, ${PAUSE} ms after the one before`,
      test: { connections: 'kept', calls: PAUSED_CALLS, pause: PAUSE },
    },
  ];

printMachine();
using folder = new Folder();
await using debian = await Debian.enter(folder);
const load = await compile(folder, 'support/varlink-load');
const allocateLoad = await compile(folder, 'support/allocate-load');
const own = ours(folder);
const peer = systemd(debian);
const echoInC = await compile(folder, 'support/echo');
const echoInNode = fileURLToPath(new URL('floor/echo.js', import.meta.url));

{
  const allocator = await Service.start(own);
  // The namespace must live as long as our daemon is asked for its user.
  await allocate(allocateLoad, { socket: own.socket, clients: 1, each: 1, uid: 0 }, async () => {
    await allocator[Symbol.asyncDispose]();
    copyRegistry(own, peer);
    await contest();
  });
}

async function contest(): Promise<void> {
  await using ownService = await Service.start(own);
  await using peerService = await Service.start(peer);
  await using inC = await startEcho([echoInC, folder.join('echo-c')]);
  await using inNode = await startEcho([process.execPath, echoInNode, folder.join('echo-node')]);
  const contestants = [
    service(ownService),
    service(peerService),
    echo('floor: echo, koffi in Node’s loop', inNode, 'echo-node'),
    echo('floor: echo, C', inC, 'echo-c'),
  ];
  for (const { name, test } of WAYS) {
    const figures = contestants.map((): Figures => ({ latency: [], p99: [], cost: [] }));
    // The first round only warms up.
    for (let round = -1; round < ROUNDS; round++) {
      for (const [index, contestant] of contestants.entries()) {
        await setTimeout(REST);
        await measure(contestant, test, round < 0 ? undefined : figures[index]);
      }
    }
    console.log(`GetUserRecord by one client, ${name}\n`);
    const base = median(figures[1]?.latency ?? []);
    printTable([
      ['', 'median µs', 'range', 'to systemd', 'p99 µs', 'service µs/call'],
      ...contestants.map((contestant, index) => row(contestant.name, figures[index], base, test.pause === undefined)),
    ]);
  }
  console.log(`Medians of ${ROUNDS} runs in turns, of ${CALLS} calls, or of ${PAUSED_CALLS} with pauses. service: processor time. echo: sends back
what it receives, and does nothing else. What C's takes is the kernel's and the client's; what koffi's takes beside is Node's, and
what ours takes beside that is ours.`);
}

async function measure(contestant: Contestant, test: (typeof WAYS)[number]['test'], figures?: Figures): Promise<void> {
  const before = contestant.processorTime();
  const result = await getUserRecords(load, { ...test, socket: contestant.socket, clients: 1, seconds: SECONDS });
  if (result.unanswered > 0) throw new Error(`${contestant.name} left a call unanswered`);
  figures?.latency.push(result.median);
  figures?.p99.push(result.p99);
  figures?.cost.push(((contestant.processorTime() - before) / result.calls) * 1e6);
}

function row(name: string, figures: Figures | undefined, base: number, isBusy: boolean): string[] {
  const { latency = [], p99 = [], cost = [] } = figures ?? {};
  const whole = (value: number) => value.toFixed(0);
  return [
    name,
    whole(median(latency)),
    range(latency, whole),
    times(median(latency), base),
    whole(median(p99)),
    // The clock of it is too coarse for few calls.
    isBusy ? whole(median(cost)) : '',
  ];
}

function service(running: Service): Contestant {
  const { name, socket } = running.program;
  return { name, socket, processorTime: () => running.processorTime };
}

function echo(name: string, child: Child, file: string): Contestant {
  return { name, socket: folder.join(file), processorTime: () => processorTime([child.pid]) };
}

async function startEcho(command: readonly string[]): Promise<Child> {
  const child = new Child(command);
  // It writes a line when it listens. Its file is there before.
  await child.line();
  return child;
}
