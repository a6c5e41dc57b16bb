import { closeSync, openSync, symlinkSync } from 'node:fs';
import {
  type EntrySnapshot,
  isSameNamespace,
  NamespaceLiveness,
  NamespaceNotes,
  type NamespaceSearch,
  Registry,
  type Steps,
} from '@sdrx/daemon';
import { namespaceId } from '@sdrx/linux';
import { finalize } from 'rxjs';
import t, { type Test } from 'tap';
import { runProgram } from '../support/run-program.js';
import { untilDead } from '../support/user-namespace.js';
import { onLoop } from '../support/worked-off.js';
import { Inhabitant } from './user-namespace.js';

const self = openSync('/proc/self/ns/user', 'r');
const numbered = namespaceId(self) !== undefined;
closeSync(self);
const skipRoot = process.getuid?.() === 0 ? false : 'needs root';
const skip = skipRoot || (numbered ? false : 'this kernel does not number its namespaces');

const ids = (runtime: string) => `${runtime}/nsresource/namespace-ids`;

// biome-ignore lint/correctness/useYield: it has nothing to interrupt
function* neverSearch(): Steps<ReadonlySet<number>> {
  throw new Error('searched');
}

/** A search that finds these, the first time the first ones, then the next ones. */
function finding(...found: readonly (readonly number[])[]): { search: NamespaceSearch; count: () => number } {
  let count = 0;
  return {
    *search() {
      yield;
      return new Set(found[count++] ?? found.at(-1));
    },
    count: () => count,
  };
}

function registered(inode: number, usernsId?: bigint): EntrySnapshot {
  const entry = { owner: 0, name: `n${inode}`, userns: inode, cgroups: [] };
  return { inode, entry: { ...entry, ...(usernsId !== undefined && { usernsId }) }, file: String(inode) };
}

/** The inodes of those that are dead. */
async function deadOf(liveness: NamespaceLiveness, namespaces: readonly EntrySnapshot[]): Promise<number[]> {
  const dead = await onLoop((loop) => liveness.dead(loop, namespaces));
  return dead.map(({ inode }) => inode).sort();
}

/** Two namespaces, as they are registered. */
async function two(t: Test): Promise<{ inhabitant: Inhabitant; entry: EntrySnapshot; id: bigint }[]> {
  const inhabitants = await Promise.all([Inhabitant.start(t, ['--user']), Inhabitant.start(t, ['--user'])]);
  return inhabitants.map((inhabitant) => {
    const fd = inhabitant.open();
    const id = namespaceId(fd) ?? 0n;
    closeSync(fd);
    return { inhabitant, entry: registered(inhabitant.inode, id), id };
  });
}

t.test('a namespace with an id is alive until it is dead, without a search', { skip }, async (t) => {
  const liveness = new NamespaceLiveness(t.testdir(), neverSearch);
  const [dying, living] = await two(t);
  if (dying === undefined || living === undefined) throw new Error('no namespaces');
  const entries = [dying.entry, living.entry];
  t.same(await deadOf(liveness, entries), []);
  await untilDead(dying.inhabitant.pid, () => dying.inhabitant.end());
  t.same(await deadOf(liveness, entries), [dying.entry.inode], 'asking did not keep it alive');
  const other = registered(living.entry.inode, living.id - 1n);
  t.same(await deadOf(liveness, [other]), [living.entry.inode], 'dead is who had the inode before');
});

t.test('the id that an earlier release noted counts where the entry has none', { skip }, async (t) => {
  const runtime = t.testdir({ nsresource: { 'namespace-ids': {} } });
  const liveness = new NamespaceLiveness(runtime, neverSearch);
  const [first, second] = await two(t);
  if (first === undefined || second === undefined) throw new Error('no namespaces');
  symlinkSync(String(first.id), `${ids(runtime)}/i${first.entry.inode}`);
  symlinkSync(String(second.id - 1n), `${ids(runtime)}/i${second.entry.inode}`);
  const old = [registered(first.entry.inode), registered(second.entry.inode)];
  t.same(await deadOf(liveness, old), [second.entry.inode]);
});

t.test('tells the very namespace from another one', { skip }, async (t) => {
  const runtime = t.testdir({ nsresource: { 'namespace-ids': {} } });
  const [first, second] = await two(t);
  if (first === undefined || second === undefined) throw new Error('no namespaces');
  using registry = Registry.open(runtime);
  const [fd, other] = [first.inhabitant.open(), second.inhabitant.open()];
  const { inode } = first.entry;
  t.equal(isSameNamespace(fd, registered(inode), registry), undefined, 'no id is known');
  t.equal(isSameNamespace(fd, registered(inode, first.id), registry), true);
  t.equal(
    isSameNamespace(fd, registered(inode, first.id - 1n), registry),
    false,
    'its inode belonged to an earlier one',
  );
  t.equal(isSameNamespace(other, registered(inode, second.id), registry), false);
  symlinkSync(String(first.id - 1n), `${ids(runtime)}/i${inode}`);
  t.equal(isSameNamespace(fd, registered(inode), registry), false, 'so says a note');
  t.equal(isSameNamespace(fd, registered(inode, first.id), registry), true, 'the entry knows better');
  closeSync(fd);
  closeSync(other);
});

t.test('one without an id is searched for, twice before it counts as dead', { skip: skipRoot }, async (t) => {
  const inhabitant = await Inhabitant.start(t, ['--user']);
  const { inode } = inhabitant;
  t.same(
    await deadOf(
      new NamespaceLiveness(t.testdir()),
      [inode, 1, 2].map((number) => registered(number)),
    ),
    [1, 2],
  );
  await inhabitant.end();
  t.same(await deadOf(new NamespaceLiveness(t.testdir()), [registered(inode)]), [inode]);

  const entries = [5, 6, 7].map((number) => registered(number));
  const { search, count } = finding([5], [6]);
  const liveness = new NamespaceLiveness(t.testdir(), search);
  t.same(await deadOf(liveness, entries), [7], '6 was overlooked once');
  t.equal(count(), 2);
  t.same(await deadOf(liveness, []), []);
  t.equal(count(), 2);
  const all = finding([5, 6, 7]);
  t.same(await deadOf(new NamespaceLiveness(t.testdir(), all.search), entries), []);
  t.equal(all.count(), 1, 'nobody is missing');
});

t.test('who may not look into all processes takes nothing for dead', { skip: skipRoot }, (t) => {
  const program = `
    import { NamespaceLiveness } from '${import.meta.resolve('@sdrx/daemon')}';
    import { EventLoop } from '${import.meta.resolve('@sdrx/event')}';
    import { tap } from '${import.meta.resolve('rxjs')}';
    const liveness = new NamespaceLiveness('${t.testdir()}');
    const loop = new EventLoop();
    const entries = [1, 2].map((inode) => ({ inode, file: '' }));
    await loop.run(liveness.dead(loop, entries).pipe(tap((dead) => {
      console.log(JSON.stringify(dead.map(({ inode }) => inode)));
      loop.exit(0);
    })));
  `;
  const [drop, ...node] = ['--bounding-set=-sys_ptrace', process.execPath, '--input-type=module', '--eval', program];
  const blind = runProgram('setpriv', [drop, '--inh-caps=-sys_ptrace', ...node]);
  t.strictSame(JSON.parse(blind.output), []);
  const seeing = runProgram('setpriv', node);
  t.strictSame(JSON.parse(seeing.output), [1, 2]);
  t.end();
});

t.test('the loop goes on while it is searched for namespaces', async (t) => {
  let turns = 0;
  // Without the loop it would never end.
  const liveness = new NamespaceLiveness(t.testdir(), function* () {
    while (turns < 10) yield;
    return new Set([5]);
  });
  const dead = await onLoop((loop) => {
    const timer = loop.time({ every: 1 }).subscribe(() => turns++);
    return liveness.dead(loop, [registered(5)]).pipe(finalize(() => timer.unsubscribe()));
  });
  t.same(dead, []);
  t.equal(turns, 10);
});

t.test('an id that was tampered with is no id', async (t) => {
  const runtime = t.testdir({ nsresource: { 'namespace-ids': {} } });
  for (const [inode, target] of [
    [5, 'x'],
    [6, '-1'],
    [7, '1'.repeat(21)],
  ] as const) {
    symlinkSync(target, `${ids(runtime)}/i${inode}`);
  }
  const entries = [5, 6, 7].map((inode) => registered(inode));
  t.same(await deadOf(new NamespaceLiveness(runtime, finding([5, 6, 7]).search), entries), []);
});

t.test('a note counts for the entry alone that it was written for', { skip }, async (t) => {
  const runtime = t.testdir();
  const liveness = new NamespaceLiveness(runtime, finding([]).search);
  const [first] = await two(t);
  if (first === undefined) throw new Error('no namespace');
  const { inode } = first.entry;
  new NamespaceNotes(runtime).remember(inode, first.id, '1-1');
  const entry = { inode, entry: registered(inode).entry };
  t.same(await deadOf(liveness, [{ ...entry, file: '1-1' }]), []);
  t.same(
    await deadOf(liveness, [{ ...entry, file: '1-2' }]),
    [inode],
    'another daemon has registered another one since',
  );
});
