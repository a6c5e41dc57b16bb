import { rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { type NamespaceEntry, Registry } from '@sdrx/daemon';
import { isSystemError } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { openFds } from '../support/nothing-left.js';
import { failAfter, failOnce, made, onCalls } from './fs-fault.js';
import { faultsOf, filesOf } from './registry-check.js';
import { runtimeFolder } from './runtime-folder.js';

const CODES = ['EIO', 'ENOSPC', 'EACCES', 'EMFILE', 'EINTR', 'ENOMEM'] as const;

const delegates = [{ userns: 7, start: 851_968, startGid: 851_968, size: 65_536 }];
const probe: NamespaceEntry = {
  owner: 1000,
  name: 'probe',
  userns: 7,
  range: { start: 786_432, size: 65_536, target: 0 },
  cgroups: [],
  delegates,
};
const inner: NamespaceEntry = {
  owner: 1001,
  name: 'inner',
  userns: 8,
  range: { start: 65_000, size: 1, target: 0 },
  cgroups: [],
  delegates: delegates.map((delegate) => ({ ...delegate, userns: 8 })),
};
const other: NamespaceEntry = { owner: 1002, name: 'other', userns: 9, cgroups: [] };
const changed: NamespaceEntry = { ...probe, cgroups: [25n], netifs: ['ns-x'] };

/** What is done, to a registry that has what, and what it has then, by inode. */
interface Deed {
  readonly has: readonly NamespaceEntry[];
  readonly does: (registry: Registry) => unknown;
  readonly leadsTo: readonly NamespaceEntry[];
}

const DEEDS: Record<string, Deed> = {
  'store the first': { has: [], does: (registry) => registry.store(probe), leadsTo: [probe] },
  'store another': { has: [probe], does: (registry) => registry.store(inner), leadsTo: [probe, inner] },
  update: { has: [probe], does: (registry) => registry.update(changed), leadsTo: [changed] },
  'remove the last': { has: [probe], does: (registry) => registry.remove(7), leadsTo: [] },
  'remove one of two': { has: [probe, inner], does: (registry) => registry.remove(inner), leadsTo: [probe] },
  'remove the outer one': { has: [probe, inner], does: (registry) => registry.remove(7), leadsTo: [inner] },
};

function registryWith(t: Test, entries: readonly NamespaceEntry[]): Registry {
  const registry = Registry.open(runtimeFolder(t));
  t.teardown(() => registry[Symbol.dispose]());
  for (const entry of entries) registry.store(entry);
  return registry;
}

function stateOf(registry: Registry): NamespaceEntry[] {
  return registry
    .inodes()
    .sort((a, b) => a - b)
    .flatMap((inode) => registry.byInode(inode) ?? []);
}

for (const [what, { has, does, leadsTo }] of Object.entries(DEEDS)) {
  for (const code of CODES) {
    t.test(`${code} at each call of: ${what}`, async (t) => {
      const wrong: string[] = [];
      let calls = 0;
      for (let isMore = true; isMore; calls++) {
        const registry = registryWith(t, has);
        const before = openFds();
        const end = failOnce(calls, code, 'all');
        let failure: unknown;
        try {
          does(registry);
        } catch (error) {
          failure = error;
        }
        const call = end();
        isMore = call !== undefined;
        const check = (what: string, holds: boolean) => {
          if (!holds) wrong.push(`${call}, number ${calls}: ${what}`);
        };
        check('leaves a descriptor', isDeepStrictEqual(openFds(), before));
        const state = stateOf(registry);
        if (failure === undefined) check('is said to be done, and is not', isDeepStrictEqual(state, leadsTo));
        else {
          check(`is another error: ${failure}`, isSystemError(failure, code));
          // What was begun to be removed is gone, also if some of it is left.
          const allowed = what.startsWith('remove') ? [has, leadsTo] : [has];
          check(
            'changes something',
            allowed.some((entries) => isDeepStrictEqual(state, entries)),
          );
        }
        registry.store(other);
        const faults = faultsOf(registry, registry.directory);
        check(`leaves after the next change: ${faults}`, faults.length === 0);
      }
      t.same(wrong, []);
      t.ok(calls > 20, `${calls} calls`);
    });
  }

  t.test(`killed at each step of: ${what}`, async (t) => {
    for (let step = 0, killed = true; killed; step++) {
      const registry = registryWith(t, has);
      const end = failAfter(step, () => {
        throw new Error('killed');
      });
      try {
        does(registry);
      } catch {
        // Nobody is there any more to see it.
      }
      killed = end();
      const state = stateOf(registry);
      t.ok(
        [has, leadsTo].some((entries) => isDeepStrictEqual(state, entries)),
        `step ${step}: old or new`,
      );
      // Another process makes the next change, and is killed by it, too, and then a third.
      for (const again of [step % 7, Number.POSITIVE_INFINITY]) {
        using next = Registry.open(registry.directory.slice(0, -'/nsresource/registry'.length));
        const endAgain = failAfter(again, () => {
          throw new Error('killed');
        });
        try {
          next.store(other);
        } catch {
          // As above; where it was done before, EEXIST.
        }
        endAgain();
      }
      registry.remove(9);
      t.same(stateOf(registry), state, `step ${step}: no entry is changed by that`);
      t.same(faultsOf(registry, registry.directory), [], `step ${step}: nothing is left`);
    }
  });

  t.test(`power cut at each step of: ${what}`, async (t) => {
    for (let step = 0, cut = true; cut; step++) {
      const registry = registryWith(t, has);
      const endOfCalls = cutPower(step, registry.directory);
      try {
        does(registry);
      } catch {
        // Nor is anybody here.
      }
      cut = endOfCalls();
      const later = Registry.open(registry.directory.slice(0, -'/nsresource/registry'.length));
      t.teardown(() => later[Symbol.dispose]());
      const { failures } = later.repair();
      t.same(failures, [], `step ${step}: all can be read`);
      t.ok(
        [has, leadsTo].some((entries) => isDeepStrictEqual(stateOf(later), entries)),
        `step ${step}: old or new`,
      );
      t.same(faultsOf(later, later.directory), [], `step ${step}: nothing is left`);
    }
  });
}

/**
 * Cuts the power: no later change takes place, and of what was written since the last fsync(2) of its file nothing is
 * sure. The names of files are in order on a file system with a journal.
 * @returns a function that brings the power back, and tells whether it was cut
 */
function cutPower(step: number, directory: string): () => boolean {
  const unsure = new Map<number, number>();
  const numbers = new Map<unknown, number>();
  let cut = false;
  const end = onCalls('changes', (index, name, original, args) => {
    if (index >= step) {
      cut = true;
      throw made('EIO', name);
    }
    const result = original();
    if (name === 'openSync' && typeof result === 'number') numbers.set(result, statSync(String(args[0])).ino);
    const inode = numbers.get(args[0]);
    if (name === 'writeSync' && inode !== undefined) unsure.set(inode, index);
    if (name === 'fsyncSync' && inode !== undefined) unsure.delete(inode);
    return result;
  });
  return () => {
    end();
    if (!cut) return false;
    for (const [file, inode] of filesOf(directory)) {
      if (unsure.has(inode)) truncateSync(`${directory}/${file}`, statSync(`${directory}/${file}`).size >> 1);
    }
    // It is never written for good.
    writeFileSync(`${directory}/lock`, '[".#1-');
    return true;
  };
}

t.test('a repair that is killed at any step leaves nothing after the next change', async (t) => {
  for (let step = 0, killed = true; killed; step++) {
    const registry = registryWith(t, [probe, inner]);
    for (const link of ['nprobe.userns', 'u65000.userns', 'g851968.delegate']) rmSync(`${registry.directory}/${link}`);
    const end = failAfter(step, () => {
      throw new Error('killed');
    });
    registry.repair();
    killed = end();
    registry.store(other);
    const faults = faultsOf(registry, registry.directory);
    // Before it has noted that it works, it has done nothing.
    t.same(step < 2 ? faults.filter((fault) => fault.endsWith('left over')) : faults, [], `step ${step}`);
  }
});

t.test('a fault while it is opened leaves nothing open', async (t) => {
  for (const code of CODES) {
    for (let index = 0; ; index++) {
      const runtime = runtimeFolder(t);
      const before = openFds();
      const end = failOnce(index, code, 'all');
      try {
        Registry.open(runtime)[Symbol.dispose]();
      } catch (error) {
        t.match(error, { code });
      }
      const call = end();
      t.same(openFds(), before, `${code} at ${call}`);
      if (call === undefined) break;
    }
  }
});

t.test('a look-up that fails says so, and the next one does not', async (t) => {
  const registry = registryWith(t, [probe, inner]);
  const looks = [
    () => registry.byInode(7),
    () => registry.byName('inner'),
    () => registry.byStart(786_432),
    () => registry.byStartGid(65_000),
    () => registry.hasName('probe'),
    () => registry.holdersOf(851_968, 65_536),
    () => registry.ownedBy(1000),
    () => registry.inodes(),
    () => registry.unregistered([65_000, 65_001]),
  ];
  const before = openFds();
  for (const look of looks) {
    const right = look();
    const wrong: string[] = [];
    for (const code of CODES) {
      for (let index = 0, isMore = true; isMore; index++) {
        const end = failOnce(index, code, 'all');
        try {
          if (!isDeepStrictEqual(look(), right)) wrong.push(`${code} at call ${index}: another answer`);
        } catch (error) {
          if (!isSystemError(error, code)) wrong.push(`${code} at call ${index}: ${error}`);
        }
        isMore = end() !== undefined;
      }
    }
    t.same(wrong, [], String(look));
    t.same(look(), right);
  }
  t.same(openFds(), before);
});

t.test('a repair that fails somewhere does the rest, and tells of it', async (t) => {
  for (let index = 0; ; index++) {
    const registry = registryWith(t, [probe, inner, other]);
    for (const file of ['.#1-0-0', 'o1000.owns/.#1']) writeFileSync(`${registry.directory}/${file}`, '');
    writeFileSync(`${registry.directory}/nleft.userns`, '{"owner":0,"name":"left","userns":5}');
    const end = failOnce(index, 'EIO', 'all');
    let failures: readonly unknown[] = [];
    try {
      failures = registry.repair().failures;
    } catch (error) {
      failures = [error];
    }
    const call = end();
    if (call === undefined) {
      t.same(failures, []);
      break;
    }
    // To note what is done, and to close what was read, need not succeed.
    if (!['writeSync', 'ftruncateSync', 'closeSync'].includes(call)) t.equal(failures.length, 1, `${call} at ${index}`);
    t.same(stateOf(registry), [probe, inner, other], `${call} at ${index}: no entry is lost`);
    registry.repair();
    t.same(faultsOf(registry, registry.directory), [], `${call} at ${index}`);
  }
});
