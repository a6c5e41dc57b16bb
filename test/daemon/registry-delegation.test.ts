import { linkSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { type Delegate, type NamespaceEntry, parseDelegation, Registry } from '@sdrx/daemon';
import t, { type Test } from 'tap';
import { isRangeFree } from '../support/is-range-free.js';
import { onCalls } from './fs-fault.js';
import { faultsOf, filesOf } from './registry-check.js';
import { runtimeFolder } from './runtime-folder.js';

const FILE = 'u786432.delegate';
const shared: Delegate = { start: 786_432, startGid: 786_432, size: 65_536 };

/** A namespace that may give the shared range to others; each one is made within the one before. */
function holder(userns: number): NamespaceEntry {
  const name = `n${userns}`;
  return { owner: 0, name, userns, cgroups: [], delegates: [{ userns, ...shared }] };
}
const [parent, child, grandchild] = [holder(7), holder(8), holder(9)];

function open(t: Test): { registry: Registry; directory: string } {
  const registry = Registry.open(runtimeFolder(t));
  t.teardown(() => registry[Symbol.dispose]());
  return { registry, directory: registry.directory };
}

function holders(directory: string): readonly number[] | undefined {
  return parseDelegation(readFileSync(`${directory}/${FILE}`, 'utf8'))?.holders;
}

t.test('each holder is the last one until it goes, and then the one before is it again', async (t) => {
  const { registry, directory } = open(t);
  for (const entry of [parent, child, grandchild]) registry.store(entry);
  t.same(JSON.parse(readFileSync(`${directory}/${FILE}`, 'utf8')), {
    userns: 9,
    ...shared,
    ancestorUserns: [7, 8],
  });
  t.same(faultsOf(registry, directory), []);
  registry.remove(9);
  t.same(JSON.parse(readFileSync(`${directory}/${FILE}`, 'utf8')), { userns: 8, ...shared, ancestorUserns: [7] });
  t.same(faultsOf(registry, directory), []);
  registry.remove(8);
  t.same(JSON.parse(readFileSync(`${directory}/${FILE}`, 'utf8')), { userns: 7, ...shared });
  t.same(registry.holdersOf(786_432, 65_536), [7]);
  registry.remove(7);
  t.same([...filesOf(directory).keys()], []);
  t.ok(isRangeFree(registry, 786_432, 65_536));
});

t.test('one that goes before its children takes nothing from them', async (t) => {
  const { registry, directory } = open(t);
  for (const entry of [parent, child, grandchild]) registry.store(entry);
  registry.remove(7);
  t.same(holders(directory), [8, 9]);
  registry.remove(8);
  t.same(holders(directory), [9]);
  t.notOk(isRangeFree(registry, 786_432, 65_536));
  registry.remove(9);
  t.same([...filesOf(directory).keys()], []);
});

t.test('an update leaves it alone, also that of one who passed it on', async (t) => {
  const { registry, directory } = open(t);
  for (const entry of [parent, child]) registry.store(entry);
  const before = filesOf(directory).get(FILE);
  registry.update({ ...parent, cgroups: [5n] });
  t.same(holders(directory), [7, 8]);
  t.equal(filesOf(directory).get(FILE), before, 'not even written anew');
  t.same(faultsOf(registry, directory), []);
});

t.test('an attempt that fails leaves it to whom it was', async (t) => {
  for (let step = 0; ; step++) {
    const { registry, directory } = open(t);
    registry.store(parent);
    const before = readFileSync(`${directory}/${FILE}`, 'utf8');
    let failed = false;
    const end = onCalls('changes', (index, name, original) => {
      if (index !== step) return original();
      failed = true;
      throw Object.assign(new Error(`ENOSPC: ${name}`), { code: 'ENOSPC', syscall: name });
    });
    try {
      registry.store(child);
    } catch {
      t.equal(registry.byInode(8), undefined);
    }
    end();
    if (!failed) break;
    if (registry.byInode(8) === undefined)
      t.equal(readFileSync(`${directory}/${FILE}`, 'utf8'), before, `step ${step}`);
    t.same(faultsOf(registry, directory), [], `step ${step}`);
  }
});

t.test('who held it and is dead does not count', async (t) => {
  const { registry, directory } = open(t);
  registry.store(child);
  // As systemd 262 leaves it when a parent dies before its child.
  const text = `{"userns":7,"start":786432,"startGid":786432,"size":65536}\n`;
  for (const file of [FILE, 'g786432.delegate']) unlinkSync(`${directory}/${file}`);
  writeFileSync(`${directory}/${FILE}`, text);
  linkSync(`${directory}/${FILE}`, `${directory}/g786432.delegate`);
  t.same(registry.repair().restored, [FILE]);
  t.same(holders(directory), [8]);
  t.same(faultsOf(registry, directory), []);
});

t.test("one that nobody has is in nobody's way, and goes with the next repair", async (t) => {
  const { registry, directory } = open(t);
  writeFileSync(`${directory}/${FILE}`, JSON.stringify({ userns: 5, ...shared, ancestorUserns: [4] }));
  linkSync(`${directory}/${FILE}`, `${directory}/g786432.delegate`);
  // One that has the inode of a dead holder has not what that one had.
  registry.store({ owner: 0, name: 'other', userns: 5, cgroups: [] });
  t.ok(isRangeFree(registry, 786_432, 65_536));
  t.same([...registry.repair().removed].sort(), ['g786432.delegate', FILE].sort());
  t.same(faultsOf(registry, directory), []);
});

t.test('a lost file or link comes back', async (t) => {
  const { registry, directory } = open(t);
  for (const entry of [parent, child]) registry.store(entry);
  unlinkSync(`${directory}/g786432.delegate`);
  t.same(registry.repair().restored, [FILE]);
  t.same(faultsOf(registry, directory), []);
  for (const file of [FILE, 'g786432.delegate']) unlinkSync(`${directory}/${file}`);
  t.same(registry.repair().restored, [FILE]);
  t.same(faultsOf(registry, directory), []);
});

t.test('one that can not be read keeps its ids, as does an entry that may have it', async (t) => {
  const { registry, directory } = open(t);
  registry.store(parent);
  writeFileSync(`${directory}/${FILE}`, 'nonsense');
  t.notOk(isRangeFree(registry, 786_432, 65_536));
  t.same(registry.holdersOf(786_432, 65_536), [undefined]);
  t.throws(() => registry.store(child), { code: 'EBADMSG' });
  t.equal(registry.byInode(8), undefined);
  t.same(registry.repair().removed, []);
  t.notOk(isRangeFree(registry, 786_432, 65_536));

  unlinkSync(`${directory}/g786432.delegate`);
  writeFileSync(`${directory}/${FILE}`, JSON.stringify({ userns: 7, ...shared }));
  writeFileSync(`${directory}/i7.userns`, 'nonsense');
  registry.repair();
  t.notOk(isRangeFree(registry, 786_432, 65_536), 'the entry of its holder is there');
  registry.remove(7);
  t.ok(isRangeFree(registry, 786_432, 65_536));
  registry.repair();
  t.same([...filesOf(directory).keys()], []);
});

t.test('a range that begins where none of ours does is found by its ids', async (t) => {
  const { registry } = open(t);
  registry.store({ owner: 0, name: 'odd', userns: 5, range: { start: 786_433, size: 65_536, target: 0 }, cgroups: [] });
  const later = Registry.open(registry.directory.slice(0, -'/nsresource/registry'.length));
  t.teardown(() => later[Symbol.dispose]());
  t.same(later.holdersOf(786_432, 65_536), [5]);
  t.same(later.holdersOf(851_968, 65_536), [5]);
  t.same(
    [720_896, 917_504].map((start) => isRangeFree(later, start, 65_536)),
    [true, true],
  );
  later.remove(5);
  t.ok(isRangeFree(later, 786_432, 65_536));
});
