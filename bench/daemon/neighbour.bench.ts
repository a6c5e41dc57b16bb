// What one user who is at every limit at once does to another user's calls: times beside it, against times alone.
import { setTimeout } from 'node:timers/promises';
import { compile } from '../support/compile.js';
import { Folder } from '../support/folder.js';
import { allocate, getUserRecords, type Hostility, hostile } from '../support/load.js';
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

/** Users of no system: theirs are ids that nobody gives to people or services. */
const HOSTILE = 60_600;
const VICTIM = 60_601;

/** In milliseconds. */
interface Times {
  readonly median: number[];
  readonly p99: number[];
}

const none = (): Times => ({ median: [], p99: [] });
const alone = { lookUps: none(), allocations: none() };
const beside = { lookUps: none(), allocations: none() };
let got: Hostility | undefined;

printMachine();
using folder = new Folder();
const load = await compile(folder, 'support/varlink-load');
const allocateLoad = await compile(folder, 'support/allocate-load');
const hostileLoad = await compile(folder, 'support/hostile-load');
await using service = await Service.start(ours(folder));
const { socket } = service.program;

for (let round = -1; round < ROUNDS; round++) {
  await measure(round < 0 ? { lookUps: none(), allocations: none() } : alone);
  await hostile(hostileLoad, { socket, uid: HOSTILE }, async (hostility) => {
    got = hostility;
    await measure(round < 0 ? { lookUps: none(), allocations: none() } : beside);
  });
  await service.rest();
  // The next one's namespaces may have the inodes of those that died.
  await setTimeout(3000);
}

const milliseconds = (values: readonly number[]) => median(values).toFixed(2);
const row = (name: string, before: Times, during: Times, aim: number): string[] => {
  const [usual, slow] = [median(before.p99), median(during.p99)];
  return [
    name,
    `${milliseconds(before.median)} / ${milliseconds(before.p99)}`,
    `${milliseconds(during.median)} / ${milliseconds(during.p99)}`,
    times(median(during.median), median(before.median)),
    times(slow, usual),
    `≤ ${aim} ×, ${slow <= aim * usual ? 'met' : 'MISSED'}`,
  ];
};
printTable([
  ['median / p99, ms', 'alone', 'beside', 'median', 'p99', 'aim for p99'],
  row('GetUserRecord', alone.lookUps, beside.lookUps, LOOK_UP_AIM),
  row('AllocateUserRange', alone.allocations, beside.allocations, ALLOCATION_AIM),
]);
console.log(`Medians of ${ROUNDS} rounds of ${LOOK_UPS} look-ups, a connection each, and ${ALLOCATIONS} allocations of one user. The other one had, the last
time: ${JSON.stringify(got)}.`);

async function measure(figures: { lookUps: Times; allocations: Times }): Promise<void> {
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
