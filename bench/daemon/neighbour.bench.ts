// What one user who is at every limit at once does to another user's calls: times beside it, against times alone.
import { setTimeout } from 'node:timers/promises';
import { compile } from '../support/compile.js';
import { Folder } from '../support/folder.js';
import { allocate, getUserRecords, hostile } from '../support/load.js';
import { ours, Service } from '../support/service.js';
import { median } from '../support/statistics.js';
import { printMachine, printTable, times } from '../support/table.js';

/** Alone and beside the other user in turns, so that both meet the same disturbances. */
const ROUNDS = 5;

const LOOK_UPS = 500;
const ALLOCATIONS = 20;

/** How many times as long, at the 99th percentile. */
const LOOK_UP_AIM = 3;
const ALLOCATION_AIM = 5;

/**
 * What the other user tries to have, with the eight connections that it calls in: so little that all calls are worked on, all that
 * is given, and far more connections.
 */
const HOSTILITIES = {
  'below its limits': { namespaces: 128, connections: 56 },
  'at its limits': { namespaces: 256, connections: 112 },
  'beyond them': { namespaces: 256, connections: 4096 },
} as const;

/** Users of no system: theirs are ids that nobody gives to people or services. */
const HOSTILE = 60_600;
const VICTIM = 60_601;

/** In milliseconds. */
interface Times {
  readonly median: number[];
  readonly p99: number[];
}

interface Figures {
  readonly lookUps: Times;
  readonly allocations: Times;
}

const none = (): Figures => ({ lookUps: { median: [], p99: [] }, allocations: { median: [], p99: [] } });

printMachine();
using folder = new Folder();
const load = await compile(folder, 'support/varlink-load');
const allocateLoad = await compile(folder, 'support/allocate-load');
const hostileLoad = await compile(folder, 'support/hostile-load');
const rows: string[][] = [];
const hostilities: string[] = [];
for (const [name, wanted] of Object.entries(HOSTILITIES)) {
  await using service = await Service.start(ours(folder));
  const { socket } = service.program;
  const alone = none();
  const beside = none();
  for (let round = -1; round < ROUNDS; round++) {
    await measure(socket, round < 0 ? none() : alone);
    const got = await hostile(hostileLoad, { socket, uid: HOSTILE, ...wanted }, () =>
      measure(socket, round < 0 ? none() : beside),
    );
    if (round === ROUNDS - 1) hostilities.push(`${name} it had ${JSON.stringify(got)}`);
    await service.rest();
    // The next one's namespaces may have the inodes of those that died.
    await setTimeout(3000);
  }
  rows.push(
    row(`GetUserRecord, ${name}`, alone.lookUps, beside.lookUps, LOOK_UP_AIM),
    row(`AllocateUserRange, ${name}`, alone.allocations, beside.allocations, ALLOCATION_AIM),
  );
}
printTable([['median / p99, ms', 'alone', 'beside', 'median', 'p99', 'aim for p99'], ...rows]);
console.log(`Medians of ${ROUNDS} rounds of ${LOOK_UPS} look-ups, a connection each, and ${ALLOCATIONS} allocations of one user. The other one, the
last time: ${hostilities.join('; ')}.`);

function row(name: string, before: Times, during: Times, aim: number): string[] {
  const milliseconds = (values: readonly number[]) => median(values).toFixed(2);
  const [usual, slow] = [median(before.p99), median(during.p99)];
  return [
    name,
    `${milliseconds(before.median)} / ${milliseconds(before.p99)}`,
    `${milliseconds(during.median)} / ${milliseconds(during.p99)}`,
    times(median(during.median), median(before.median)),
    times(slow, usual),
    `≤ ${aim} ×, ${slow <= aim * usual ? 'met' : 'MISSED'}`,
  ];
}

async function measure(socket: string, figures: Figures): Promise<void> {
  await allocate(allocateLoad, { socket, clients: 1, each: 1, uid: 0 }, async () => {
    const calls = { clients: 1, seconds: 60, calls: LOOK_UPS };
    note(figures.lookUps, await getUserRecords(load, { socket, connections: 'one a call', ...calls }));
  });
  note(figures.allocations, await allocate(allocateLoad, { socket, clients: 1, each: ALLOCATIONS, uid: VICTIM }));
  await emptied();
}

function note(figures: Times, { median: middle, p99 }: { median: number; p99: number }): void {
  figures.median.push(middle / 1000);
  figures.p99.push(p99 / 1000);
}

/** Until the names can be had again. */
async function emptied(): Promise<void> {
  await setTimeout(200);
}
