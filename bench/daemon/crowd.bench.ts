// What crowds cost: 10,000 connections of one user, 1,000 users at once, 20,000 registered namespaces, against none of it.
import { readdirSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { entrySnapshot, type NamespaceEntry, NamespaceNotes, Registry } from '@sdrx/daemon';
import { compile } from '../support/compile.js';
import { Folder } from '../support/folder.js';
import { allocate, type CallsOptions, getUserRecords, holdConnections, holdNamespaces } from '../support/load.js';
import { privateMemory } from '../support/processes.js';
import { ours, Service, type ServiceProgram } from '../support/service.js';
import { median } from '../support/statistics.js';
import { count, printMachine, printTable, times } from '../support/table.js';

const ROUNDS = 3;
const CONNECTIONS = 10_000;
const USERS = 1000;
const NAMESPACES = 20_000;
const NAMESPACES_A_USER = 250;
/** A process can have so many descriptors. */
const NAMESPACES_A_PROCESS = 10_000;

const LOOK_UPS = 1000;
const ALLOCATIONS = 50;

/** Users of no system: theirs are ids that nobody gives to people or services. */
const FIRST_UID = 60_600;
/** Beyond all ids that are lent to namespaces: those would count as one user. */
const CROWD_UID = 2_000_000_000;

/** Milliseconds, and kilobytes. */
interface Figures {
  readonly start: number[];
  readonly lookUp: number[];
  readonly lookUp99: number[];
  readonly allocation: number[];
  readonly allocation99: number[];
  readonly release: number[];
  readonly manager: number[];
  readonly worker: number[];
}

const empty = (): Figures => ({
  start: [],
  lookUp: [],
  lookUp99: [],
  allocation: [],
  allocation99: [],
  release: [],
  manager: [],
  worker: [],
});
const scenarios = {
  nobody: empty(),
  [`${count(CONNECTIONS)} connections of one user`]: empty(),
  [`${count(USERS)} users at once`]: empty(),
  [`${count(NAMESPACES)} namespaces`]: empty(),
};
const retries: number[] = [];
/** How many users of the crowd own namespaces. */
let owning = 0;
const [nobody, connections, users, namespaces] = Object.values(scenarios) as [Figures, Figures, Figures, Figures];

printMachine();
using folder = new Folder();
const load = await compile(folder, 'support/varlink-load');
const allocateLoad = await compile(folder, 'support/allocate-load');
const hold = await compile(folder, 'support/hold-namespaces');
const holdConnected = await compile(folder, 'support/hold-connections');
const program = ours(folder);

for (let round = 0; round < ROUNDS; round++) {
  await serve(nobody, (service) => measure(service, nobody));
  await serve(connections, async (service) => {
    const crowd = { socket: program.socket, count: CONNECTIONS, uid: CROWD_UID };
    await holdConnections(holdConnected, crowd, () => measure(service, connections));
  });
  await serve(users, async (service) => {
    const all = await allocate(
      allocateLoad,
      { socket: program.socket, clients: USERS, each: 1, uid: CROWD_UID },
      async () => {
        await lookUps(service, users);
      },
    );
    // Each waits for all before it: what counts is how long each took of the service.
    retries.push(all.retries);
    users.allocation.push((all.seconds * 1000) / all.calls);
    users.allocation99.push((all.seconds * 1000) / all.calls);
    await released(users);
    memory(service, users);
  });
}
await holding(NAMESPACES, CROWD_UID, async () => {
  for (let round = 0; round < ROUNDS; round++) await serve(namespaces, (service) => measure(service, namespaces));
});

const shown = (values: readonly number[], base: readonly number[], digits = 1): string =>
  values.length === 0 ? '' : `${median(values).toFixed(digits)} (${times(median(values), median(base))})`;
printTable([
  ['', 'start ms', 'look-up ms', 'p99', 'allocation ms', 'p99', 'release ms', 'manager MB', 'worker MB'],
  ...Object.entries(scenarios).map(([name, figures]) => [
    name,
    shown(figures.start, nobody.start, 0),
    shown(figures.lookUp, nobody.lookUp, 2),
    shown(figures.lookUp99, nobody.lookUp99, 2),
    shown(figures.allocation, nobody.allocation),
    shown(figures.allocation99, nobody.allocation99),
    shown(figures.release, nobody.release, 0),
    shown(figures.manager, nobody.manager),
    shown(figures.worker, nobody.worker),
  ]),
]);
console.log(`Medians of ${ROUNDS} runs. Start: to the first answer. ${LOOK_UPS} look-ups, a connection each; ${ALLOCATIONS} allocations of one user;
release: from the death of these ${ALLOCATIONS} namespaces until all are released, with up to 2.5 s until that is looked for; private memory
of the manager, and of the largest worker. Of ${count(USERS)} users who allocate at once, an allocation is the time of all by their number;
${median(retries)} of their calls were answered that there is too much to do, and made again.`);

async function serve(figures: Figures, body: (service: Service) => Promise<void>): Promise<void> {
  const began = performance.now();
  await using service = await Service.start(program, () => figures.start.push(performance.now() - began));
  await body(service);
}

async function measure(service: Service, figures: Figures): Promise<void> {
  await lookUps(service, figures);
  const { median: middle, p99 } = await allocate(
    allocateLoad,
    { socket: program.socket, clients: 1, each: ALLOCATIONS, uid: FIRST_UID },
    () => setTimeout(50),
  );
  figures.allocation.push(middle / 1000);
  figures.allocation99.push(p99 / 1000);
  await released(figures);
}

async function lookUps(service: Service, figures: Figures): Promise<void> {
  await allocate(allocateLoad, { socket: program.socket, clients: 1, each: 1, uid: 0 }, async () => {
    const calls: CallsOptions = {
      socket: program.socket,
      connections: 'one a call',
      clients: 1,
      seconds: 60,
      calls: LOOK_UPS,
    };
    const result = await getUserRecords(load, calls, () => memory(service, figures));
    figures.lookUp.push(result.median / 1000);
    figures.lookUp99.push(result.p99 / 1000);
  });
}

function memory({ manager, workers }: Service, figures: Figures): void {
  figures.manager.push(privateMemory(manager.pid) / 1024);
  figures.worker.push(Math.max(...workers.map(privateMemory)) / 1024);
}

/** Waits until the namespaces that runs of an allocation's program held are gone; only those of the crowd stay. */
async function released(figures: Figures): Promise<void> {
  const began = performance.now();
  const owners = () =>
    readdirSync(`${program.runtimeDirectory}/nsresource/registry`).filter((file) => file.startsWith('o'));
  while (owners().length > owning) await setTimeout(10);
  figures.release.push(performance.now() - began);
}

/** Registers so many namespaces, without a service, and holds them meanwhile. */
async function holding(left: number, uid: number, body: () => Promise<void>): Promise<void> {
  if (left <= 0) return await body();
  const some = Math.min(left, NAMESPACES_A_PROCESS);
  await holdNamespaces(hold, { count: some, uid, each: NAMESPACES_A_USER }, async (held) => {
    register(program, held, uid);
    owning += Math.ceil(some / NAMESPACES_A_USER);
    await holding(left - some, uid + some / NAMESPACES_A_USER, body);
  });
}

function register({ runtimeDirectory }: ServiceProgram, held: readonly [number, string][], uid: number): void {
  using registry = Registry.open(runtimeDirectory);
  const notes = NamespaceNotes.beside(registry);
  for (const [index, [userns, id]] of held.entries()) {
    const owner = uid + Math.floor(index / NAMESPACES_A_USER);
    const start = 0x80000 + ((uid - CROWD_UID) * NAMESPACES_A_USER + index) * 65_536;
    const entry: NamespaceEntry = {
      owner,
      name: `${owner}-${index}`,
      userns,
      range: { start, size: 65_536, target: 0 },
      cgroups: [],
    };
    registry.store(entry);
    const stored = entrySnapshot(registry, userns);
    if (id !== '0' && stored !== undefined) notes.remember(userns, BigInt(id), stored.file);
  }
}
