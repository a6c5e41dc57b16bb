import { mkdtempSync } from 'node:fs';
import { formatNamespaceEntry, type NamespaceEntry, Registry } from '@sdrx/daemon';
import fc from 'fast-check';
import t from 'tap';
import { isRangeFree } from '../support/is-range-free.js';
import { failAfter } from './fs-fault.js';
import { faultsOf } from './registry-check.js';
import { runtimeFolder } from './runtime-folder.js';

const INODES = [4_026_532_001, 4_026_532_002, 4_026_532_003, 4_026_532_004];
const NAMES = ['a', 'b', 'c'];
const STARTS = [524_288, 589_824, 655_360];
const SIZE = 65_536;

const entries: fc.Arbitrary<NamespaceEntry> = fc
  .record({
    owner: fc.constantFrom(0, 1000),
    name: fc.constantFrom(...NAMES),
    userns: fc.constantFrom(...INODES),
    start: fc.constantFrom(undefined, ...STARTS),
    delegated: fc.uniqueArray(fc.constantFrom(...STARTS), { maxLength: 2 }),
    cgroups: fc.uniqueArray(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { maxLength: 2 }),
  })
  .map(({ start, delegated, ...entry }) => {
    const delegates = delegated.map((first) => ({ userns: entry.userns, start: first, startGid: first, size: SIZE }));
    return {
      ...entry,
      ...(start === undefined ? {} : { range: { start, size: SIZE, target: 0 } }),
      ...(delegates.length === 0 ? {} : { delegates }),
    };
  });

const action = fc.record({
  what: fc.constantFrom('store', 'store', 'update', 'remove', 'repair'),
  entry: entries,
  steps: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.nat(20)),
});

/** What a registry should hold, by inode. */
type Model = Map<number, NamespaceEntry>;

const text = (entry: NamespaceEntry | undefined) => entry && formatNamespaceEntry(entry);

function has(model: Model, start: number): boolean {
  return [...model.values()].some(
    ({ range, delegates = [] }) => range?.start === start || delegates.some((delegate) => delegate.start === start),
  );
}

/** What is said about names, users and ids needs no repair. */
function compare(registry: Registry, model: Model): void {
  for (const name of NAMES) {
    const isTaken = [...model.values()].some((entry) => entry.name === name);
    if (registry.hasName(name) !== isTaken) throw new Error(`${name}: ${!isTaken}`);
    if ((registry.byName(name) !== undefined) !== isTaken) throw new Error(`${name} found: ${!isTaken}`);
  }
  for (const start of STARTS) {
    if (isRangeFree(registry, start, SIZE) === has(model, start)) throw new Error(`${start}: ${has(model, start)}`);
    const [byUid, byGid] = [registry.byStart(start), registry.byStartGid(start)];
    const owner = [...model.values()].find(({ range }) => range?.start === start);
    if (byUid?.userns !== owner?.userns || byGid?.userns !== owner?.userns) throw new Error(`${start} is not found`);
  }
  for (const owner of [0, 1000]) {
    const owned = [...model.values()].filter((entry) => entry.owner === owner).map(({ userns }) => userns);
    if (String(registry.ownedBy(owner).sort()) !== String(owned.sort())) throw new Error(`${owner} has others`);
  }
  for (const inode of INODES) {
    if (text(registry.byInode(inode)) !== text(model.get(inode))) throw new Error(`${inode} differs`);
  }
}

for (const end of ['repair', 'change'] as const) {
  t.test(`after any history, with processes killed at any step, the next ${end} makes all well`, async (t) => {
    const runtimes = runtimeFolder(t);
    fc.assert(
      fc.property(fc.array(action, { maxLength: 12 }), (actions) => {
        const runtime = mkdtempSync(`${runtimes}/`);
        using registry = Registry.open(runtime);
        const model: Model = new Map();
        for (const { what, entry, steps } of actions) {
          const old = model.get(entry.userns);
          const isTaken = [...model.values()].some(
            ({ name, range, userns }) =>
              userns === entry.userns || name === entry.name || (range && range.start === entry.range?.start),
          );
          const next = {
            store: isTaken ? old : entry,
            update: old && { ...old, cgroups: entry.cgroups },
            remove: undefined,
            repair: old,
          }[what];
          let failure: unknown;
          const restore = failAfter(steps, () => {
            throw new Error('killed');
          });
          try {
            if (what === 'store') registry.store(entry);
            if (what === 'update') registry.update(entry);
            if (what === 'remove') registry.remove(entry.userns);
            if (what === 'repair') registry.repair();
          } catch (error) {
            failure = error;
          }
          const killed = restore();
          if (!killed) {
            const expected = what === 'store' && isTaken ? 'EEXIST' : what === 'update' && !old ? 'ENOENT' : undefined;
            const code = failure instanceof Error && 'code' in failure ? failure.code : undefined;
            if (code !== expected || (failure !== undefined) !== (expected !== undefined))
              throw failure ?? new Error(`no ${expected}`);
          }
          const found = registry.byInode(entry.userns);
          const allowed = (killed ? [old, next] : [next]).map(text);
          if (!allowed.includes(text(found))) throw new Error(`${what} made it ${text(found)}`);
          if (found === undefined) model.delete(entry.userns);
          else model.set(entry.userns, found);
          compare(registry, model);
        }
        if (end === 'repair') registry.repair();
        else registry.store({ owner: 7, name: 'last', userns: 7, cgroups: [] });
        const faults = faultsOf(registry, registry.directory);
        if (faults.length > 0) throw new Error(faults.join(', '));
        compare(registry, model);
      }),
      { numRuns: 300 },
    );
  });
}
