// What the registry costs when it holds 20,000 namespaces, beside one that holds none.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type NamespaceEntry, Registry } from '@sdrx/daemon';
import { median } from '../support/statistics.js';
import { count, printMachine, printTable } from '../support/table.js';

const ROUNDS = 7;
const FULL = 20_000;
const CORRUPT = 3000;
/** How many of a user's namespaces are there at most, by the daemon's limit. */
const OF_A_USER = 256;
const CALLS = 200;

/** In memory, as /run is. */
const MEMORY = '/dev/shm';

const FIRST_INODE = 4_026_532_000;
const FIRST_START = 0x8_0000;
const SIZE = 65_536;

printMachine();

const figures = new Map<string, Map<number, number[]>>();

for (let round = -1; round < ROUNDS; round++) for (const size of [0, FULL]) measure(size, round >= 0);

console.log('The registry, by how many namespaces it holds; processor time, µs a call\n');
printTable([
  ['', 'none', count(FULL)],
  ...[...figures].map(([what, values]) => [what, ...[0, FULL].map((size) => micro(median(values.get(size) ?? [0])))]),
]);

const millis = [1, 2].map((times) => repairCorrupt((CORRUPT * times) / 2));
console.log(
  `Entries that can't be read: a start that finds them, and the release of them all at once, processor time, ms\n`,
);
printTable([
  ['', count(CORRUPT / 2), count(CORRUPT)],
  ['repair', ...millis.map(({ repair }) => count(repair))],
  ['removeAll', ...millis.map(({ remove }) => count(remove))],
]);
console.log(`Medians of ${ROUNDS} rounds; ${CALLS} calls each of those that are made for one namespace. In ${MEMORY}.`);

function measure(size: number, counts: boolean): void {
  const runtime = mkdtempSync(join(MEMORY, 'sdrx-bench-'));
  const registry = Registry.open(runtime);
  try {
    fill(registry, size);
    const note = (what: string, calls: number, work: (index: number) => unknown) => {
      const each =
        processorTime(() => {
          for (let index = 0; index < calls; index++) work(index);
        }) / calls;
      const values = figures.get(what) ?? new Map<number, number[]>();
      figures.set(what, values);
      if (counts) values.set(size, [...(values.get(size) ?? []), each]);
    };
    const added = Array.from({ length: CALLS }, (_, index) => entry(FULL + index));
    const at = (index: number) => added[index] as NamespaceEntry;
    using worker = Registry.open(runtime);
    note('the first holdersOf of a worker', 1, () => worker.holdersOf(FIRST_START, SIZE));
    note('store', CALLS, (index) => registry.store(at(index)));
    note('holdersOf, taken', CALLS, (index) => worker.holdersOf(at(index).range?.start ?? 0, SIZE));
    note('holdersOf, free', CALLS, () => worker.holdersOf(0x6ffe_0000, SIZE));
    note('byName', CALLS, (index) => registry.byName(at(index).name));
    note('byStart', CALLS, (index) => registry.byStart(at(index).range?.start ?? 0));
    note('update', CALLS, (index) => registry.update({ ...at(index), cgroups: [BigInt(index)] }));
    note(`count of a user's ${CALLS}`, 20, () => registry.count(at(0).owner));
    note('unregistered', 1, () => registry.unregistered([FIRST_START]));
    note('inodes', 1, () => registry.inodes());
    note('repair', 1, () => registry.repair());
    note('remove', CALLS, (index) => registry.remove(at(index).userns));
  } finally {
    registry[Symbol.dispose]();
    rmSync(runtime, { recursive: true });
  }
}

function fill(registry: Registry, size: number): void {
  for (let index = 0; index < size; index++) registry.store(entry(index));
}

function entry(index: number): NamespaceEntry {
  const owner = 10_000 + Math.floor(index / OF_A_USER);
  return {
    owner,
    name: `${owner}-${index}`,
    userns: FIRST_INODE + index,
    range: { start: FIRST_START + index * SIZE, size: SIZE, target: 0 },
    cgroups: [],
  };
}

/** In milliseconds. */
function repairCorrupt(corrupt: number): { repair: number; remove: number } {
  const runtime = mkdtempSync(join(MEMORY, 'sdrx-bench-'));
  using registry = Registry.open(runtime);
  fill(registry, corrupt * 2);
  for (let index = 0; index < corrupt; index++) {
    writeFileSync(`${registry.directory}/i${FIRST_INODE + index}.userns`, '{"owner":');
  }
  const repair = processorTime(() => registry.repair()) / 1000;
  const inodes = Array.from({ length: corrupt }, (_, index) => FIRST_INODE + index);
  const remove = processorTime(() => registry.removeAll(inodes)) / 1000;
  const left = readdirSync(registry.directory).filter((file) => /^i/.test(file)).length;
  if (left !== corrupt) throw new Error(`${left} are left, not ${corrupt}`);
  rmSync(runtime, { recursive: true });
  return { repair, remove };
}

/** All of it is done without waiting, so that this does not depend on who else is at work. In µs. */
function processorTime(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

function micro(value: number): string {
  return value < 100 ? value.toFixed(1) : count(value);
}
