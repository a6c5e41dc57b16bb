// Memory of the daemon's processes, against idle processes of Node and systemd-nsresourced.
import { setTimeout } from 'node:timers/promises';
import { sigqueue } from '@sdrx/linux';
import { Child } from '../support/child.js';
import { compile } from '../support/compile.js';
import { Debian } from '../support/debian.js';
import { Folder } from '../support/folder.js';
import { allocate, getUserRecords } from '../support/load.js';
import { privateMemory } from '../support/processes.js';
import { copyRegistry, environment, ours, Service, type ServiceProgram, systemd } from '../support/service.js';
import { median, range } from '../support/statistics.js';
import { printMachine, printTable, times } from '../support/table.js';

const ROUNDS = 7;
const FEW_CALLS = 1000;
const MANY_CALLS = 50_000;

/** A worker after MANY_CALLS, at rest, as many times the memory of an idle Node. */
const AIM = 2;

/** Has a process of ours give memory back, as it does by itself once it is at rest. See `signalCommands`. */
const RELEASE = 0x300;

const NODE = 'node, idle';

const figures = new Map<string, number[]>();
const note = (name: string, ...kilobytes: readonly number[]) => {
  figures.set(name, [...(figures.get(name) ?? []), ...kilobytes]);
};

printMachine();
using folder = new Folder();
await using debian = await Debian.enter(folder);
const load = await compile(folder, 'support/varlink-load');
const allocateLoad = await compile(folder, 'support/allocate-load');
const sdrx = ours(folder);
const peer = systemd(debian);

for (let round = 0; round < ROUNDS; round++) {
  await measureNode();
  await using service = await Service.start(sdrx);
  await allocate(allocateLoad, { socket: sdrx.socket, clients: 1, each: 1, uid: 0 }, async () => {
    if (round === 0) copyRegistry(sdrx, peer);
    await measure(service, [0]);
    await rest(service, 'started, at rest');
    await measure(service, [FEW_CALLS, MANY_CALLS]);
    await rest(service, `after ${MANY_CALLS} calls, at rest`);
  });
  await using peerService = await Service.start(peer);
  await measure(peerService, [0, FEW_CALLS]);
}

const base = median(figures.get(NODE) ?? []);
const megabytes = (kilobytes: number) => (kilobytes / 1024).toFixed(1);
const judged = `sdrx, a worker, after ${MANY_CALLS} calls, at rest`;
console.log('Private memory, MB\n');
printTable([
  ['', 'median', 'range', 'to idle node', 'aim'],
  ...[...figures].map(([name, values]) => {
    const value = median(values);
    const aim = name === judged ? `≤ ${AIM} ×, ${value <= AIM * base ? 'met' : 'MISSED'}` : '';
    return [name, megabytes(value), range(values, megabytes), times(value, base), aim];
  }),
]);
console.log(`Private_Dirty and Swap of smaps_rollup: pages a process has written and shares with nobody. Files that are only read,
as Node's program, are in memory once for all. Calls: GetUserRecord by 4 clients, one connection a call, with 5 workers
at work together. At rest: a minute or two later. Medians over ${ROUNDS} starts, for workers over all five of each.`);

async function measureNode(): Promise<void> {
  await using idle = new Child(['node', '-e', 'setInterval(() => {}, 1e9)'], environment);
  await setTimeout(1000);
  note(NODE, privateMemory(idle.pid));
}

async function measure(service: Service, steps: readonly number[]): Promise<void> {
  const { socket }: ServiceProgram = service.program;
  let done = 0;
  for (const calls of steps) {
    if (calls > done) {
      await getUserRecords(load, { socket, connections: 'one a call', clients: 4, seconds: 60, calls: calls - done });
      done = calls;
      await service.rest();
    }
    noteAll(service, calls === 0 ? 'started' : `after ${calls} calls`);
  }
}

async function rest(service: Service, when: string): Promise<void> {
  for (const pid of [service.manager.pid, ...service.workers]) sigqueue(pid, 'SIGRTMIN+18', RELEASE);
  // V8 gives back some of it a second later.
  await setTimeout(2000);
  noteAll(service, when);
}

function noteAll({ program: { name }, manager, workers }: Service, when: string): void {
  note(`${name}, manager, ${when}`, privateMemory(manager.pid));
  note(`${name}, a worker, ${when}`, ...workers.map(privateMemory));
}
