import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { mounts, removeCgroup } from '@sdrx/daemon';
import t, { type Test } from 'tap';

const root = mounts().find(({ type, root }) => type === 'cgroup2' && root === '/')?.path ?? '';
const skip = process.getuid?.() !== 0 ? 'needs root' : root === '' && 'no cgroup v2 is mounted';

/** A cgroup with others in it, none of which outlives the test. */
function tree(t: Test): string {
  const path = `${root}/sdrx-test-${process.pid}-${Math.floor(Math.random() * 2 ** 32)}`;
  for (const child of ['a/b', 'a/c', 'd']) mkdirSync(`${path}/${child}`, { recursive: true });
  t.teardown(() => {
    for (const child of ['/a/b', '/a/c', '/a', '/d', '']) if (existsSync(path + child)) rmdirSync(path + child);
  });
  return path;
}

function idOf(path: string): bigint {
  return statSync(path, { bigint: true }).ino;
}

t.test('removes a cgroup and all below it, and nothing beside it', { skip }, async (t) => {
  const [path, other] = [tree(t), tree(t)];
  const before = readdirSync('/proc/self/fd').length;
  removeCgroup(idOf(`${path}/a`));
  t.same([existsSync(`${path}/a`), existsSync(`${path}/d`)], [false, true]);
  removeCgroup(idOf(path));
  t.same([existsSync(path), existsSync(`${other}/a/b`)], [false, true]);
  t.equal(readdirSync('/proc/self/fd').length, before);
});

t.test('one that is gone already is fine', { skip }, async (t) => {
  const path = tree(t);
  const id = idOf(`${path}/d`);
  rmdirSync(`${path}/d`);
  removeCgroup(id);
  removeCgroup(0n);
  removeCgroup(2n ** 64n - 1n);
  t.ok(existsSync(path));
});

t.test('one with a process in it is busy, and the error says which', { skip }, async (t) => {
  const path = tree(t);
  const process = spawn('sleep', ['60']);
  await once(process, 'spawn');
  writeFileSync(`${path}/a/b/cgroup.procs`, String(process.pid));
  t.throws(() => removeCgroup(idOf(path)), { code: 'EBUSY', message: new RegExp(`${path}/a/b`) });
  t.ok(existsSync(`${path}/a/b`));
  process.kill('SIGKILL');
  await once(process, 'exit');
  removeCgroup(idOf(path));
  t.notOk(existsSync(path));
});

t.test('never the root, and never what is no cgroup', { skip }, async (t) => {
  const before = readdirSync('/proc/self/fd').length;
  t.throws(() => removeCgroup(idOf(root)), { code: 'EPERM' });
  t.throws(() => removeCgroup(idOf(`${root}/cgroup.procs`)), { code: 'ENOTDIR' });
  t.equal(readdirSync('/proc/self/fd').length, before);
});
