// AllocateUserRange: how many user namespaces get a range per second.
import { readdirSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { compile } from '../support/compile.js';
import { Folder } from '../support/folder.js';
import { allocate } from '../support/load.js';
import { ours, Service } from '../support/service.js';
import { median, range } from '../support/statistics.js';
import { count, printMachine, printTable } from '../support/table.js';

const ROUNDS = 7;
const CLIENTS = [1, 4];
/** In each run, by all clients together; a user may have 256. */
const NAMESPACES = 200;

/** Users of no system: theirs are ids that nobody gives to people or services. */
const FIRST_UID = 60_600;

printMachine();
using folder = new Folder();
const load = await compile(folder, 'support/allocate-load');
await using service = await Service.start(ours(folder));
const { runtimeDirectory, socket } = service.program;

const figures = CLIENTS.map(() => ({
  rate: [] as number[],
  median: [] as number[],
  p99: [] as number[],
  cpu: [] as number[],
}));
for (let round = -1; round < ROUNDS; round++) {
  for (const [index, clients] of CLIENTS.entries()) {
    const before = service.processorTime;
    let used = 0;
    const each = NAMESPACES / clients;
    const result = await allocate(load, { socket, clients, each, uid: FIRST_UID }, async () => {
      // Helper processes count once they are reaped.
      await setTimeout(50);
      used = service.processorTime - before;
    });
    await emptied();
    // The first round only warms up.
    if (round < 0) continue;
    figures[index]?.rate.push(result.calls / result.seconds);
    figures[index]?.median.push(result.median / 1000);
    figures[index]?.p99.push(result.p99 / 1000);
    figures[index]?.cpu.push((used / result.calls) * 1000);
  }
}

console.log('AllocateUserRange, 65,536 ids each\n');
printTable([
  ['', 'per second', 'range', 'median ms', 'p99 ms', 'service ms/call'],
  ...CLIENTS.map((clients, index) => {
    const { rate, median: latency, p99, cpu } = figures[index] ?? { rate: [], median: [], p99: [], cpu: [] };
    const times = [latency, p99, cpu].map((values) => median(values).toFixed(2));
    return [
      `sdrx, ${clients === 1 ? '1 client' : `${clients} clients`}`,
      count(median(rate)),
      range(rate, count),
      ...times,
    ];
  }),
]);
console.log(`Medians of ${ROUNDS} runs of ${NAMESPACES} namespaces that were made before, each into an empty registry. service: its
processor time a call, helper processes included. No aim is set, and there is no peer: systemd-nsresourced allocates
only where the kernel takes its BPF LSM program.`);

/** The daemon finds out by itself that the namespaces of the last run are dead. */
async function emptied(): Promise<void> {
  const registered = () => readdirSync(`${runtimeDirectory}/nsresource/registry`).some((file) => file.startsWith('i'));
  for (let tries = 0; registered(); tries++) {
    if (tries > 200) throw new Error('dead namespaces were not released within 10 s');
    await setTimeout(50);
  }
}
