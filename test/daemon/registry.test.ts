import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { formatNamespaceEntry, type NamespaceEntry, Registry } from '@sdrx/daemon';
import t, { type Test } from 'tap';
import { isRangeFree } from '../support/is-range-free.js';
import { failOnce, made, onCalls } from './fs-fault.js';
import { faultsOf, filesOf } from './registry-check.js';
import { runtimeFolder } from './runtime-folder.js';
import { probe } from './sample-entry.js';

const child = fileURLToPath(new URL('./registry-child.js', import.meta.url));

const web = {
  owner: 1000,
  name: '1000-web',
  userns: 4_026_532_002,
  range: { start: 65_472, size: 1, target: 0 },
  cgroups: [9_007_199_254_740_993n],
} satisfies NamespaceEntry;
const own = { owner: 1000, name: '1000-own', userns: 4_026_532_003, cgroups: [] } satisfies NamespaceEntry;

function open(t: Test): { registry: Registry; directory: string; runtime: string } {
  const runtime = runtimeFolder(t);
  const registry = Registry.open(runtime);
  t.teardown(() => registry[Symbol.dispose]());
  return { registry, runtime, directory: `${runtime}/nsresource/registry` };
}

/** Starts another process that works on a registry, without what the test runner loads into every process. */
function work(stdout: 'pipe' | 'inherit', ...args: string[]): ChildProcess {
  const command = ['--unset=NODE_OPTIONS', process.execPath, child, ...args];
  return spawn('env', command, { stdio: ['ignore', stdout, 'inherit'] });
}

async function saysSomething({ stdout }: ChildProcess): Promise<void> {
  if (stdout !== null) await once(stdout, 'data');
}

function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

function mode(path: string): number {
  return statSync(path).mode & 0o777;
}

t.test('is found by inode, by name and by first id, and is one file with a link for each', async (t) => {
  const { registry, directory } = open(t);
  registry.store(probe);
  registry.store(web);
  registry.store(own);
  t.same(registry.byInode(probe.userns), probe);
  t.same(registry.byName('1000-web'), web);
  t.same(registry.byStart(65_472), web);
  t.same(registry.byName('1000-own'), own);
  t.same(registry.inodes().sort(), [probe.userns, web.userns, own.userns]);
  for (const [owner, count] of [
    [0, 1],
    [1000, 2],
    [1001, 0],
  ] as const) {
    t.ok(registry.hasAtLeast(count, owner));
    t.notOk(registry.hasAtLeast(count + 1, owner));
  }
  t.same(
    [...filesOf(directory).keys()].sort(),
    [
      'g1429471232.userns',
      'g65472.userns',
      'i4026532001.userns',
      'i4026532002.userns',
      'i4026532003.userns',
      'n1000-own.userns',
      'n1000-web.userns',
      'nprobe.userns',
      'o0.owns',
      'o0.owns/i4026532001.userns',
      'o1000.owns',
      'o1000.owns/i4026532002.userns',
      'o1000.owns/i4026532003.userns',
      'u1429471232.userns',
      'u65472.userns',
    ].sort(),
  );
  t.same(faultsOf(registry, directory), []);
});

t.test('what is not there is not found', async (t) => {
  const { registry } = open(t);
  registry.store(probe);
  t.equal(registry.byInode(1), undefined);
  t.equal(registry.byName('other'), undefined);
  t.equal(registry.byName('../registry/nprobe'), undefined);
  t.equal(registry.byStart(524_288), undefined);
  t.same([registry.hasName('probe'), registry.hasName('other'), registry.hasName('../lock')], [true, false, false]);
  t.same([isRangeFree(registry, 1_429_471_232, 65_536), isRangeFree(registry, 524_288, 65_536)], [false, true]);
});

t.test('makes its directories and its lock with the modes that systemd gives them', async (t) => {
  const { registry, directory, runtime } = open(t);
  registry.store(probe);
  t.equal(mode(`${runtime}/nsresource`), 0o755);
  t.equal(mode(directory), 0o755);
  t.equal(mode(`${directory}/lock`), 0o600);
  t.equal(mode(`${directory}/o0.owns`), 0o755);
  t.equal(mode(`${directory}/nprobe.userns`), 0o644);
});

t.test('refuses an inode, a name or a first id that is taken, and leaves nothing of the attempt', async (t) => {
  const { registry, directory } = open(t);
  registry.store(probe);
  const before = filesOf(directory);
  const [name, start] = ['other', { ...probe.range, start: 524_288 }];
  for (const entry of [
    { ...probe, name, range: start, owner: 7 },
    { ...probe, userns: 5, range: start, owner: 7 },
    { ...probe, userns: 5, name, owner: 7 },
  ]) {
    t.throws(() => registry.store(entry), { code: 'EEXIST' });
    t.same(filesOf(directory), before);
  }
});

t.test('an update changes the cgroups for all links', async (t) => {
  const { registry, directory } = open(t);
  registry.store(probe);
  const cgroups = [25n, 2n ** 64n - 1n];
  registry.update({ ...probe, cgroups });
  t.same(registry.byInode(probe.userns), { ...probe, cgroups });
  t.same(registry.byName('probe'), { ...probe, cgroups });
  t.same(registry.byStart(probe.range.start), { ...probe, cgroups });
  t.same(faultsOf(registry, directory), []);
  t.throws(() => registry.update(web), { code: 'ENOENT' });
});

t.test('is removed by entry or by inode, with the directory of an owner who has no more', async (t) => {
  const { registry, directory } = open(t);
  for (const entry of [probe, web, own]) registry.store(entry);
  registry.remove(web);
  t.equal(registry.byName('1000-web'), undefined);
  t.equal(existsSync(`${directory}/o1000.owns`), true);
  registry.remove(own.userns);
  t.equal(existsSync(`${directory}/o1000.owns`), false);
  registry.remove(probe.userns);
  t.same([...filesOf(directory).keys()], []);
  registry.remove(probe);
  registry.remove(probe.userns);
});

t.test('removal spares links that are those of another entry', async (t) => {
  const { registry, directory } = open(t);
  registry.store(probe);
  registry.store(own);
  unlinkSync(`${directory}/nprobe.userns`);
  linkSync(`${directory}/i${own.userns}.userns`, `${directory}/nprobe.userns`);
  registry.remove(probe);
  t.equal(existsSync(`${directory}/nprobe.userns`), true);
  t.same(registry.byInode(own.userns), own);
});

t.test('removal goes on after a step that failed, and then says so', async (t) => {
  const { registry, directory } = open(t);
  registry.store(probe);
  // The first one that removes a file removes the entry.
  let left = 1;
  const end = onCalls('changes', (_index, name, original) => {
    if (name === 'unlinkSync' && left-- === 0) throw made('EIO', 'unlink');
    return original();
  });
  t.throws(() => registry.remove(probe), { code: 'EIO' });
  end();
  t.same([...filesOf(directory).keys()], ['nprobe.userns']);
  registry.store(own);
  t.notOk(existsSync(`${directory}/nprobe.userns`), 'the next change removes what is left');
});

t.test('an entry that can not be removed keeps all that belongs to it', async (t) => {
  const { registry, directory } = open(t);
  registry.store(probe);
  const end = failOnce(2, 'EIO', 'changes');
  t.throws(() => registry.remove(probe), { code: 'EIO' });
  t.equal(end(), 'unlinkSync');
  t.same(registry.byInode(probe.userns), probe);
  t.notOk(isRangeFree(registry, probe.range.start, 65_536));
  t.same(faultsOf(registry, directory), []);
});

t.test('a file that can not be read is an error that names it, and keeps its name and its ids', async (t) => {
  const { registry, directory } = open(t);
  registry.store(probe);
  registry.store(own);
  writeFileSync(`${directory}/nprobe.userns`, '{"owner":0');
  const named = (file: string) => ({ code: 'EBADMSG', message: new RegExp(`${directory}/${file}`) });
  t.throws(() => registry.byInode(probe.userns), named('i4026532001.userns'));
  t.throws(() => registry.byName('probe'), named('nprobe.userns'));
  t.throws(() => registry.byStart(probe.range.start), named('u1429471232.userns'));
  t.same([registry.hasName('probe'), isRangeFree(registry, probe.range.start, 65_536)], [true, false]);
  t.throws(() => registry.update(probe), { code: 'EBADMSG' });
  const { failures, ...repaired } = registry.repair();
  t.same(repaired, { removed: [], restored: [] });
  t.match(failures, [named('i4026532001.userns')]);
  t.same(registry.byInode(own.userns), own);

  registry.remove(probe.userns);
  t.same(registry.inodes(), [own.userns]);
  t.same(faultsOf(registry, directory), [], 'an inode is enough to remove all its links');
});

t.test('a file whose name does not agree with its content is an error', async (t) => {
  const { registry, directory } = open(t);
  registry.store(probe);
  const entry = `${directory}/i${probe.userns}.userns`;
  for (const link of ['i5.userns', 'nother.userns', 'u524288.userns']) linkSync(entry, `${directory}/${link}`);
  t.throws(() => registry.byInode(5), { code: 'EBADMSG' });
  t.throws(() => registry.byName('other'), { code: 'EBADMSG' });
  t.throws(() => registry.byStart(524_288), { code: 'EBADMSG' });
});

t.test('odd names are told, those with a place in a registry are not', async (t) => {
  const { registry, directory } = open(t);
  registry.store(probe);
  const odd = [
    'README',
    'i.userns',
    'i0.userns',
    'i07.userns',
    'i4294967296.userns',
    'i5.userns.bak',
    'ux.userns',
    'o1',
  ];
  for (const file of [...odd, '.#tmp']) writeFileSync(`${directory}/${file}`, '');
  const told: string[] = [];
  t.same(
    registry.inodes((file) => told.push(file)),
    [probe.userns],
  );
  t.same(told.sort(), odd.sort());
});

t.test("takes over systemd's files, and leaves files that systemd can take over", async (t) => {
  const { registry, directory } = open(t);
  const text =
    '{"owner":1000,"name":"1000-web","userns":4026532002,"size":1,"start":65472,"target":0,"cgroups":[9007199254740993]}';
  const entry = `${directory}/i4026532002.userns`;
  writeFileSync(entry, `${text}\n`);
  mkdirSync(`${directory}/o1000.owns`);
  for (const link of ['n1000-web', 'u65472', 'o1000.owns/i4026532002']) linkSync(entry, `${directory}/${link}.userns`);
  t.same(registry.byName('1000-web'), web);
  t.same(registry.repair(), { removed: [], restored: ['g65472.userns'], failures: [] });
  const links = [...filesOf(directory).keys()];
  registry.remove(web);
  t.same([...filesOf(directory).keys()], []);
  registry.store(web);
  t.same([...filesOf(directory).keys()].sort(), links.sort());
  t.same(JSON.parse(readFileSync(entry, 'utf8')), JSON.parse(text));
});

t.test('the lock keeps other processes out, and nests within one', async (t) => {
  const { registry, runtime } = open(t);
  await saysSomething(work('pipe', runtime, 'hold'));
  const outer = registry.lock();
  t.equal(existsSync(`${runtime}/released`), true, 'waited for the other process');
  const inner = registry.lock();
  registry.store(probe);
  inner[Symbol.dispose]();
  inner[Symbol.dispose]();
  const waiting = work('inherit', runtime, 'remove', formatNamespaceEntry(probe));
  await new Promise((resolve) => setTimeout(resolve, 300));
  t.same(registry.byName('probe'), probe, 'the outer lock still holds');
  outer[Symbol.dispose]();
  t.same(await once(waiting, 'exit'), [0, null]);
  t.equal(registry.byName('probe'), undefined);
});

t.test('readers need no lock: while an entry is written anew they always find it', async (t) => {
  const { registry, runtime } = open(t);
  registry.store(probe);
  const writer = work('pipe', runtime, 'churn', formatNamespaceEntry(probe));
  const ended = once(writer, 'exit');
  await saysSomething(writer);
  const seen = new Set<string>();
  let missed = 0;
  for (const end = Date.now() + 20_000; seen.size < 20 && Date.now() < end; ) {
    for (const entry of [
      registry.byName('probe'),
      registry.byStart(probe.range.start),
      registry.byInode(probe.userns),
    ]) {
      if (entry === undefined) missed++;
      else seen.add(String(entry.cgroups));
    }
  }
  writeFileSync(`${runtime}/stop`, '');
  t.equal(missed, 0);
  // The three look-ups of a round may each find another one.
  t.ok(seen.size >= 20, `saw ${seen.size} versions`);
  t.same(await ended, [0, null]);
});

t.test('keeps no descriptor but that of its lock', async (t) => {
  const { registry, runtime } = open(t);
  const before = descriptors();
  for (let round = 0; round < 20; round++) {
    using other = Registry.open(runtime);
    other.store(probe);
    t.throws(() => registry.store(probe));
    other.update({ ...probe, cgroups: [BigInt(round)] });
    registry.repair();
    registry.remove(probe);
  }
  t.equal(descriptors(), before);
});

t.test(
  'killed at any step, a process leaves an entry that is there as a whole or not at all',
  { jobs: 3 },
  async (t) => {
    const updated = { ...probe, cgroups: [25n] };
    for (const [what, before, after] of [
      ['store', undefined, probe],
      ['update', probe, updated],
      ['remove', probe, undefined],
    ] as const) {
      t.test(what, { buffered: true }, async (t) => {
        let killed = true;
        for (let step = 0; killed; step++) {
          const { registry, runtime, directory } = open(t);
          registry.store(own);
          if (before !== undefined) registry.store(before);
          const entry = formatNamespaceEntry(after ?? probe);
          const worker = work('inherit', runtime, what, entry, String(step));
          const [, signal] = await once(worker, 'exit');
          killed = signal === 'SIGKILL';

          const found = registry.byInode(probe.userns);
          t.ok(
            isDeepStrictEqual(found, before) || isDeepStrictEqual(found, after),
            `killed at step ${step}: the entry`,
          );
          t.equal(registry.hasName('probe'), found !== undefined, `killed at step ${step}: its name`);
          t.equal(
            isRangeFree(registry, probe.range.start, 65_536),
            found === undefined,
            `killed at step ${step}: its ids`,
          );
          registry.repair();
          t.same(faultsOf(registry, directory), [], `killed at step ${step}, repaired`);
          t.same(registry.byInode(probe.userns), found, 'repair changes no entry');
          t.same(registry.repair(), { removed: [], restored: [], failures: [] }, 'once is enough');
          if (killed) continue;
          t.same(found, after, 'the last run was not killed');
          t.ok(step > 4, `it has ${step} steps`);
        }
      });
    }
  },
);
