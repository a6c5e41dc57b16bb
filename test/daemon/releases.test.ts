import { existsSync, openSync, readdirSync } from 'node:fs';
import {
  entrySnapshot,
  type NamespaceEntry,
  NamespaceNotes,
  type NamespaceTraces,
  Registry,
  Releases,
  release,
  releaseOne,
  rememberNamespace,
} from '@sdrx/daemon';
import { EventLoop } from '@sdrx/event';
import { EIO, Fd, namespaceId, namespaceInode, SystemError } from '@sdrx/linux';
import { finalize, Subject, switchMap, toArray } from 'rxjs';
import t, { type Test } from 'tap';
import { cgroupId, makeCgroup, needsCgroups } from '../support/cgroup.js';
import { isRangeFree } from '../support/is-range-free.js';
import { leavingNothing } from '../support/nothing-left.js';
import { numbersNamespaces } from '../support/numbers-namespaces.js';
import { untilOr } from '../support/until.js';
import { onLoop } from '../support/worked-off.js';
import { failOnce, made, onCalls } from './fs-fault.js';
import { faultsOf } from './registry-check.js';

const LIMIT = 60_000;

interface Arrangement {
  readonly registry: Registry;
  readonly notes: NamespaceNotes;
  readonly traces: NamespaceTraces;
  readonly warnings: string[];
  /** Whom the BPF program has forgotten. */
  readonly reset: number[];
}

function arrange(t: Test): Arrangement {
  const runtime = t.testdir();
  const registry = Registry.open(runtime);
  const warnings: string[] = [];
  const reset: number[] = [];
  const say = (message: string, error?: unknown) =>
    warnings.push(error === undefined ? message : `${message}: ${error}`);
  const log = { level: 'debug', error: say, warning: say, notice: say, info: () => {}, debug: () => {} };
  const restrict = {
    enforced: true,
    hook: undefined,
    dead: new Subject<readonly number[]>(),
    put: () => {},
    allowMount: () => {},
    forgetMounts: () => {},
    reset: (...inodes: number[]) => reset.push(...inodes),
    [Symbol.dispose]: () => {},
  };
  // Only what a release uses of them.
  const traces = { registry, restrict, liveness: undefined, log } as unknown as NamespaceTraces;
  return { registry, notes: NamespaceNotes.beside(registry), traces, warnings, reset };
}

function entry(userns: number, more: Partial<NamespaceEntry> = {}): NamespaceEntry {
  return { owner: 1000, name: `n${userns}`, userns, cgroups: [], ...more };
}

const range = (index: number) => ({ start: 0x80000 + index * 65_536, size: 65_536, target: 0 });

function snapshotsOf(registry: Registry) {
  return registry.inodes().flatMap((inode) => entrySnapshot(registry, inode) ?? []);
}

const test = (name: string, body: (t: Test) => Promise<void>, options = {}) =>
  t.test(name, options, leavingNothing(body));

/** The outcomes of releasing what is registered, by inode. */
async function releaseAll({ registry, traces }: Arrangement, namespaces = snapshotsOf(registry)) {
  const results = await onLoop((loop) => release(loop, namespaces, traces).pipe(toArray()));
  return Object.fromEntries(results.map(({ namespace, outcome }) => [namespace.inode, outcome]));
}

test('all of a dead namespace goes, with its notes', async (t) => {
  const all = arrange(t);
  using registry = all.registry;
  for (let index = 1; index <= 40; index++) registry.store(entry(index, { range: range(index) }));
  all.notes.died(7, 'x');
  all.notes.died(8, 'x');
  const outcomes = await releaseAll(all);
  t.strictSame([...new Set(Object.values(outcomes))], ['released']);
  t.equal(Object.keys(outcomes).length, 40);
  t.strictSame(readdirSync(registry.directory), ['lock']);
  t.strictSame(readdirSync(`${registry.directory}/../namespace-ids`), []);
  t.strictSame(all.reset.length, 40);
  t.strictSame(all.warnings, []);
});

test('an entry that was changed, or replaced, since it was found dead stays', async (t) => {
  const all = arrange(t);
  using registry = all.registry;
  for (const inode of [1, 2, 3]) registry.store(entry(inode));
  const found = snapshotsOf(registry);
  registry.update({ ...entry(1), cgroups: [5n] });
  registry.remove(2);
  registry.store(entry(2, { name: 'successor' }));
  t.strictSame(await releaseAll(all, found), { 1: 'gone', 2: 'gone', 3: 'released' });
  t.strictSame(registry.inodes().sort(), [1, 2]);
  t.strictSame(faultsOf(registry, registry.directory), []);
});

test('two do not release the same at once; who comes second may wait', async (t) => {
  const all = arrange(t);
  using registry = all.registry;
  using other = Registry.open(`${registry.directory}/../..`);
  registry.store(entry(1));
  const [namespace] = snapshotsOf(registry);
  if (namespace === undefined) throw new Error('not stored');
  for (const holder of [registry, other]) {
    const claim = holder.claim(1);
    t.strictSame(await releaseAll(all), { 1: 'busy' });
    claim?.[Symbol.dispose]();
  }
  const claim = other.claim(1);
  const outcome = onLoop((loop) => {
    loop.time({ after: 50 }).subscribe(() => claim?.[Symbol.dispose]());
    return releaseOne(loop, namespace, all.traces, LIMIT);
  });
  t.equal(await outcome, 'released');
});

test('cgroups in use go back to root, and the ids are free', needsCgroupsBody, needsCgroups);

async function needsCgroupsBody(t: Test): Promise<void> {
  const all = arrange(t);
  using registry = all.registry;
  const path = makeCgroup(t, 'a');
  registry.store(entry(1, { range: range(1), cgroups: [cgroupId(path), 2n ** 63n] }));
  t.strictSame(await releaseAll(all), { 1: 'released' });
  t.notOk(existsSync(path));
}

test('an entry of which something is left stays, and keeps its ids', async (t) => {
  const all = arrange(t);
  using registry = all.registry;
  registry.store(entry(1, { range: range(1), netifs: ['x'.repeat(300)] }));
  t.strictSame(await releaseAll(all), { 1: 'kept' });
  t.match(all.warnings.join('\n'), /releasing user namespace 1: interface x+ not removed: SystemError: ERANGE/);
  t.notOk(isRangeFree(registry, range(1).start, 65_536));
});

test('one that can not be claimed keeps no other from being released', async (t) => {
  const all = arrange(t);
  using registry = all.registry;
  for (const inode of [1, 2, 3]) registry.store(entry(inode));
  const claim = registry.claim.bind(registry);
  registry.claim = (inode) => {
    if (inode === 2) throw new SystemError(EIO, 'fcntl');
    return claim(inode);
  };
  t.strictSame(await releaseAll(all), { 1: 'released', 2: 'kept', 3: 'released' });
  registry.claim = claim;
  t.strictSame(await releaseAll(all), { 2: 'released' });
});

test('what is left of an entry that is gone is no reason to keep it', async (t) => {
  const all = arrange(t);
  using registry = all.registry;
  registry.store(entry(1));
  all.notes.died(1, 'x');
  const end = onCalls('changes', (_index, name, original) => {
    if (name === 'rmdirSync') throw made('ENOMEM', 'rmdir');
    return original();
  });
  const outcomes = await releaseAll(all).finally(end);
  t.strictSame(outcomes, { 1: 'released' });
  t.match(all.warnings.join(), /not all files of its registry entry removed: Error: ENOMEM/);
  t.strictSame(readdirSync(`${registry.directory}/../namespace-ids`), []);
  registry.store(entry(2, { owner: 2 }));
  t.strictSame(faultsOf(registry, registry.directory), [], 'the next change puts it right');
});

test('notes are removed also when that fails once', async (t) => {
  const all = arrange(t);
  using registry = all.registry;
  registry.store(entry(1));
  all.notes.died(1, 'x');
  let failed = 0;
  const end = onCalls('changes', (_index, name, original, [path]) => {
    if (name === 'unlinkSync' && String(path).endsWith('/x1') && failed++ === 0) throw made('EIO', 'unlink');
    return original();
  });
  await releaseAll(all).finally(end);
  t.equal(failed, 2);
  t.strictSame(readdirSync(`${registry.directory}/../namespace-ids`), []);
});

test('the queue takes what comes, whoever holds the lock, and the loop goes on', async (t) => {
  const all = arrange(t);
  using registry = all.registry;
  for (let index = 1; index <= 300; index++) registry.store(entry(index, { range: range(index) }));
  let [last, most] = [300, 0];
  using other = Registry.open(`${registry.directory}/../..`);
  await onLoop((loop) => {
    const releases = new Releases(loop, all.traces);
    releases.run().subscribe();
    loop.time({ every: 1, priority: -1 }).subscribe(() => {
      const left = registry.inodes().length;
      [last, most] = [left, Math.max(most, last - left)];
    });
    const lock = other.lock();
    releases.addDead(registry.inodes());
    loop.time({ after: 100 }).subscribe(() => {
      t.equal(registry.inodes().length, 300, 'nothing without the lock');
      lock[Symbol.dispose]();
    });
    return releases.settled();
  });
  t.ok(most > 0 && most < 100, `${most} between two turns of another`);
  t.strictSame(readdirSync(registry.directory), ['lock']);
});

test('a release that fails is tried again after a while', async (t) => {
  const all = arrange(t);
  using registry = all.registry;
  using other = Registry.open(`${registry.directory}/../..`);
  registry.store(entry(1));
  const claim = other.claim(1);
  using loop = new EventLoop();
  const releases = new Releases(loop, all.traces);
  const finished = loop.run(releases.run());
  releases.addDead([1]);
  await new Promise<void>((resolve) => releases.settled().subscribe(() => resolve()));
  t.strictSame(registry.inodes(), [1]);
  // What finds it dead once more does not make it come sooner.
  releases.add(snapshotsOf(registry));
  claim?.[Symbol.dispose]();
  await untilOr(
    LIMIT,
    () => registry.inodes().length === 0,
    () => 'not tried again',
  );
  loop.exit(0);
  await finished;
});

test('a death whose entry can not be looked at now is dealt with later', async (t) => {
  const all = arrange(t);
  using registry = all.registry;
  for (const inode of [1, 2]) registry.store(entry(inode));
  using loop = new EventLoop();
  const releases = new Releases(loop, all.traces);
  const finished = loop.run(releases.run());
  const end = failOnce(0, 'EIO', 'all');
  releases.addDead([1, 2]);
  t.equal(end(), 'lstatSync');
  await untilOr(
    LIMIT,
    () => registry.inodes().length === 0,
    () => `left: ${registry.inodes()}`,
  );
  loop.exit(0);
  await finished;
});

/** Sweeps, and releases what was found. */
function sweep(traces: NamespaceTraces): Promise<void> {
  return onLoop((loop) => {
    const releases = new Releases(loop, traces);
    const running = releases.run().subscribe();
    return releases.sweep().pipe(
      switchMap(() => releases.settled()),
      finalize(() => running.unsubscribe()),
    );
  });
}

test('a death is not forgotten by a daemon that is killed before it could do something', async (t) => {
  const all = arrange(t);
  using registry = all.registry;
  for (const inode of [1, 2, 3]) registry.store(entry(inode));
  {
    // Nobody works through its queue.
    using loop = new EventLoop();
    new Releases(loop, all.traces).addDead([1, 2]);
  }
  t.strictSame([...all.notes.deaths().keys()].sort(), [1, 2]);
  registry.remove(2);
  registry.store(entry(2, { name: 'successor' }));
  await sweep(all.traces);
  t.strictSame(registry.inodes().sort(), [2, 3], 'who has the inode of a dead one since is another one');
});

test(
  'a sweep finds who is dead by id, also where the kernel tells of deaths',
  async (t) => {
    const all = arrange(t);
    using registry = all.registry;
    using self = new Fd(openSync('/proc/self/ns/user', 'r'));
    const [inode, id] = [namespaceInode(self.number), namespaceId(self.number)];
    registry.store(entry(inode));
    if (id !== undefined) rememberNamespace(self.number, inode, registry);
    registry.store(entry(1));
    await sweep(all.traces);
    t.strictSame(registry.inodes().sort(), [1, inode], 'there is no telling of one without an id');
    const [, current] = snapshotsOf(registry).sort((a, b) => a.inode - b.inode);
    if (id === undefined || current === undefined) return;
    all.notes.remember(inode, id - 1n, current.file);
    const releases = () => sweep(all.traces);
    await releases();
    t.strictSame(registry.inodes(), [1], 'its inode was that of a dead one');
  },
  numbersNamespaces,
);

test(
  'what is told of a namespace that lives again by its inode is not believed',
  async (t) => {
    const all = arrange(t);
    using registry = all.registry;
    using self = new Fd(openSync('/proc/self/ns/user', 'r'));
    const inode = namespaceInode(self.number);
    registry.store(entry(inode));
    rememberNamespace(self.number, inode, registry);
    await onLoop((loop) => {
      const releases = new Releases(loop, all.traces);
      const running = releases.run().subscribe();
      releases.addDead([inode]);
      return releases.settled().pipe(finalize(() => running.unsubscribe()));
    });
    t.strictSame(registry.inodes(), [inode]);
    t.strictSame(all.reset, []);
  },
  numbersNamespaces,
);

test('a sweep finds the others when one of them can not be looked at', async (t) => {
  const all = arrange(t);
  using registry = all.registry;
  for (const inode of [1, 2]) registry.store(entry(inode));
  for (const { inode, file } of snapshotsOf(registry)) all.notes.died(inode, file);
  const end = onCalls('all', (_index, name, original, [path]) => {
    if (name === 'lstatSync' && String(path).endsWith('/i1.userns')) throw made('EIO', 'lstat');
    return original();
  });
  await sweep(all.traces).finally(end);
  t.strictSame(registry.inodes(), [1]);
  await sweep(all.traces);
  t.strictSame(registry.inodes(), []);
});

test('a sweep removes the notes of what is not registered', async (t) => {
  const all = arrange(t);
  using registry = all.registry;
  registry.store(entry(1));
  all.notes.died(1, 'x');
  all.notes.remember(2, 5n, 'x');
  await sweep(all.traces);
  t.strictSame(readdirSync(`${registry.directory}/../namespace-ids`), ['x1']);
});

/** Has strays forgotten. @returns how often others had a turn meanwhile */
async function forget({ traces }: Arrangement, inodes: readonly number[]): Promise<number> {
  let turns = 0;
  await onLoop((loop) => {
    const releases = new Releases(loop, traces);
    const running = releases.run().subscribe();
    const others = loop.defer({ repeat: true }).subscribe(() => turns++);
    releases.addStrays(inodes);
    return releases.settled().pipe(
      finalize(() => {
        running.unsubscribe();
        others.unsubscribe();
      }),
    );
  });
  return turns;
}

test('what others still know of one that is not registered is forgotten', async (t) => {
  const all = arrange(t);
  using registry = all.registry;
  registry.store(entry(1));
  await forget(all, [1, 2]);
  t.strictSame(all.reset, [2]);
  t.strictSame(registry.inodes(), [1]);
});

test('so are many, while others have their turns', async (t) => {
  const all = arrange(t);
  using _registry = all.registry;
  const inodes = Array.from({ length: 1000 }, (_, index) => index + 1);
  const turns = await forget(all, inodes);
  t.strictSame(all.reset, inodes);
  t.ok(turns >= 10, `${turns} turns`);
});
