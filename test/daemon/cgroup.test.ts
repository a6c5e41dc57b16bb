import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { removeCgroup } from '@sdrx/daemon';
import t, { type Test } from 'tap';
import { cgroupId, cgroupRoot, makeCgroup, needsCgroups } from '../support/cgroup.js';

const tree = (t: Test) => makeCgroup(t, 'a/b', 'a/c', 'd');

t.test('removes a cgroup and all below it, and nothing beside it', needsCgroups, async (t) => {
  const [path, other] = [tree(t), tree(t)];
  const before = readdirSync('/proc/self/fd').length;
  removeCgroup(cgroupId(`${path}/a`));
  t.same([existsSync(`${path}/a`), existsSync(`${path}/d`)], [false, true]);
  removeCgroup(cgroupId(path));
  t.same([existsSync(path), existsSync(`${other}/a/b`)], [false, true]);
  t.equal(readdirSync('/proc/self/fd').length, before);
});

t.test('one that is gone already is fine', needsCgroups, async (t) => {
  const path = tree(t);
  const id = cgroupId(`${path}/d`);
  rmdirSync(`${path}/d`);
  removeCgroup(id);
  removeCgroup(0n);
  removeCgroup(2n ** 64n - 1n);
  t.ok(existsSync(path));
});

t.test('one with a process in it is busy, and the error says which', needsCgroups, async (t) => {
  const path = tree(t);
  const process = spawn('sleep', ['60']);
  await once(process, 'spawn');
  writeFileSync(`${path}/a/b/cgroup.procs`, String(process.pid));
  t.throws(() => removeCgroup(cgroupId(path)), { code: 'EBUSY', message: new RegExp(`${path}/a/b`) });
  t.ok(existsSync(`${path}/a/b`));
  process.kill('SIGKILL');
  await once(process, 'exit');
  removeCgroup(cgroupId(path));
  t.notOk(existsSync(path));
});

t.test('never the root, and never what is no cgroup', needsCgroups, async (t) => {
  const before = readdirSync('/proc/self/fd').length;
  t.throws(() => removeCgroup(cgroupId(cgroupRoot)), { code: 'EPERM' });
  t.throws(() => removeCgroup(cgroupId(`${cgroupRoot}/cgroup.procs`)), { code: 'ENOTDIR' });
  t.equal(readdirSync('/proc/self/fd').length, before);
});
