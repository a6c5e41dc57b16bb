// GetUserRecord: calls per second, and what idle clients do to the others, against systemd-nsresourced.
import { setTimeout } from 'node:timers/promises';
import { compile } from '../support/compile.js';
import { Debian } from '../support/debian.js';
import { Folder } from '../support/folder.js';
import { allocate, type CallsOptions, getUserRecords } from '../support/load.js';
import { copyRegistry, ours, Service, systemd } from '../support/service.js';
import { median, range } from '../support/statistics.js';
import { count, printMachine, printTable, times } from '../support/table.js';

const ROUNDS = 7;
const CLIENTS = 4;
const SECONDS = 1.5;

/**
 * systemd's workers serve 64 connections each, and 250 may be started within 2 seconds; when the last one ends before
 * its successor may be started, the manager gives up. So many calls, and a pause, keep it well clear of that.
 */
const CONNECTIONS = 8000;
const PAUSE = 2500;

const IDLE_CLIENTS = 1000;
const IDLE_CALLS = 300;
/** How long a call may take among idle clients, in seconds. */
const IDLE_PATIENCE = 10;
/** How many times as long as usual. */
const IDLE_AIM = 10;

/** One figure a run. */
interface Figures {
  readonly rate: number[];
  readonly median: number[];
  readonly p99: number[];
  readonly clientCost: number[];
  readonly serviceCost: number[];
  readonly workers: number[];
  unanswered: number;
}

/** Those of both services in the same test. */
interface Comparison {
  readonly own: Figures;
  readonly peer: Figures;
}

type Test = Omit<CallsOptions, 'socket'>;

printMachine();
using folder = new Folder();
await using debian = await Debian.enter(folder);
const load = await compile(folder, 'support/varlink-load');
const allocateLoad = await compile(folder, 'support/allocate-load');
const own = ours(folder);
const peer = systemd(debian);

{
  const allocator = await Service.start(own);
  // The namespace must live as long as our daemon is asked for its user.
  await allocate(allocateLoad, { socket: own.socket, clients: 1, each: 1, uid: 0 }, async () => {
    await allocator[Symbol.asyncDispose]();
    copyRegistry(own, peer);
    await compareRates();
    await compareIdling();
  });
}

async function compareRates(): Promise<void> {
  const one = await compare({ connections: 'one a call', calls: CONNECTIONS, clients: CLIENTS, seconds: 10 });
  const kept = await compare({ connections: 'kept', clients: CLIENTS, seconds: SECONDS });
  console.log(`GetUserRecord, ${CLIENTS} clients, calls per second\n`);
  printTable([
    ['', 'median', 'range', 'to systemd', 'client µs/call', 'service µs/call', 'median µs', 'p99 µs', 'workers'],
    rateRow(`${own.name}, one connection a call`, one.own, one),
    rateRow(`${peer.name}, one connection a call`, one.peer, one),
    rateRow(`${own.name}, kept connections`, kept.own, kept),
    rateRow(`${peer.name}, kept connections`, kept.peer, kept),
  ]);
  console.log(`Medians of ${ROUNDS} runs in turns: ${count(CONNECTIONS)} connections, or ${SECONDS} s on those that are kept.
client, service: processor time of each a call. median, p99: of what a call takes. No aim is set.\n`);
}

async function compareIdling(): Promise<void> {
  const test = { connections: 'one a call', calls: IDLE_CALLS, clients: 1, seconds: IDLE_PATIENCE } as const;
  const usual = await compare(test);
  const idle = await compare({ ...test, idle: IDLE_CLIENTS });
  const others = `${count(IDLE_CLIENTS)} idle connections`;
  console.log('GetUserRecord, one connection a call, 1 client\n');
  printTable([
    ['', 'median µs', 'range', 'p99 µs', 'to usual', 'aim', 'workers'],
    idleRow(`${own.name}, nobody else`, usual.own, usual.own),
    idleRow(`${peer.name}, nobody else`, usual.peer, usual.peer),
    idleRow(`${own.name}, ${others}`, idle.own, usual.own, IDLE_AIM),
    idleRow(`${peer.name}, ${others}`, idle.peer, usual.peer),
  ]);
  console.log(`Medians of ${ROUNDS} runs of ${IDLE_CALLS} calls in turns; workers: the most that were there. A service that left a call
unanswered for ${IDLE_PATIENCE} s is not asked again.`);
}

/** Starts both services and has them do the same in turns. */
async function compare(test: Test): Promise<Comparison> {
  const figures = { own: noFigures(), peer: noFigures() };
  await using ownService = await Service.start(own);
  await using peerService = await Service.start(peer);
  // The first round only warms up.
  for (let round = -1; round < ROUNDS; round++) {
    for (const [service, into] of [[ownService, figures.own] as const, [peerService, figures.peer] as const]) {
      if (into.unanswered > 0) continue;
      await setTimeout(test.connections === 'kept' ? 100 : PAUSE);
      await measure(service, test, into, round < 0);
    }
  }
  return figures;
}

async function measure(service: Service, test: Test, figures: Figures, warmUp: boolean): Promise<void> {
  let workers = 0;
  const before = service.processorTime;
  const result = await getUserRecords(load, { ...test, socket: service.program.socket }, () => {
    workers = service.workers.length;
  });
  const used = service.processorTime - before;
  if (result.idle < (test.idle ?? 0)) throw new Error(`only ${result.idle} idle connections could be opened`);
  figures.workers.push(workers);
  figures.unanswered += result.unanswered;
  if (warmUp || result.calls === 0) return;
  figures.rate.push(result.calls / result.seconds);
  figures.median.push(result.median);
  figures.p99.push(result.p99);
  figures.clientCost.push((result.cpu / result.calls) * 1e6);
  figures.serviceCost.push((used / result.calls) * 1e6);
}

function noFigures(): Figures {
  return { rate: [], median: [], p99: [], clientCost: [], serviceCost: [], workers: [], unanswered: 0 };
}

function rateRow(name: string, figures: Figures, { peer }: Comparison): string[] {
  if (figures.rate.length === 0) return [name, 'none answered'];
  const rate = median(figures.rate);
  const costs = [figures.clientCost, figures.serviceCost, figures.median, figures.p99];
  const lost = figures.unanswered > 0 ? `, ${figures.unanswered} unanswered` : '';
  return [
    `${name}${lost}`,
    count(rate),
    range(figures.rate, count),
    peer.rate.length === 0 ? '' : times(rate, median(peer.rate)),
    ...costs.map((values) => median(values).toFixed(0)),
    count(Math.max(...figures.workers)),
  ];
}

function idleRow(name: string, figures: Figures, usual: Figures, aim?: number): string[] {
  const workers = count(Math.max(...figures.workers));
  if (figures.median.length === 0) return [name, `none within ${IDLE_PATIENCE} s`, '', '', '', '', workers];
  const microseconds = (value: number) => value.toFixed(0);
  const latency = median(figures.median);
  const met = latency <= (aim ?? 0) * median(usual.median) && figures.unanswered === 0;
  return [
    name,
    microseconds(latency),
    range(figures.median, microseconds),
    microseconds(median(figures.p99)),
    times(latency, median(usual.median)),
    aim === undefined ? '' : `≤ ${aim} ×, ${met ? 'met' : 'MISSED'}`,
    workers,
  ];
}
