import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs, {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { type DeadIds, removeCgroup } from '@sdrx/daemon';
import { EIO, isSystemError, SystemError } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { cgroupId, cgroupRoot, makeCgroup, needsCgroups } from '../support/cgroup.js';
import { leavingNothing, openFds } from '../support/nothing-left.js';
import { runProgram } from '../support/run-program.js';
import { workedOff } from '../support/worked-off.js';

/** Ids that no namespace has any more. */
const IDS: DeadIds = { start: 0x3000_0000, size: 65_536 };
const UID = IDS.start + 7;

const tree = (t: Test) => makeCgroup(t, 'a/b', 'a/c', 'd');

const remove = (path: string, ids: DeadIds | undefined = IDS) => removeId(cgroupId(path), ids);
const removeId = (id: bigint, ids: DeadIds | undefined = IDS) => workedOff(removeCgroup(id, ids));

/** What belongs to others than root in a cgroup: the files, `.` for itself, and to whom. */
function owned(path: string): string[] {
  return ['.', ...readdirSync(path)].flatMap((file) => {
    const { uid, gid, mode } = statSync(`${path}/${file}`);
    return uid === 0 && gid === 0 ? [] : [`${file} ${uid}:${gid} ${(mode & 0o777).toString(8)}`];
  });
}

/** Puts a process into a cgroup until the test ends it. */
async function occupy(t: Test, path: string): Promise<() => Promise<void>> {
  const process = spawn('sleep', ['600'], { stdio: 'ignore' });
  await once(process, 'spawn');
  writeFileSync(`${path}/cgroup.procs`, String(process.pid));
  const end = async () => {
    if (process.exitCode !== null || process.signalCode !== null) return;
    process.kill('SIGKILL');
    await once(process, 'exit');
  };
  t.teardown(end);
  return end;
}

const test = (name: string, body: (t: Test) => void | Promise<void>) =>
  t.test(name, needsCgroups, leavingNothing(body));

test('removes a cgroup and all below it, and nothing beside it', (t) => {
  const [path, other] = [tree(t), tree(t)];
  t.equal(remove(`${path}/a`), true);
  t.same([existsSync(`${path}/a`), existsSync(`${path}/d`)], [false, true]);
  t.equal(remove(path, undefined), true, 'also one that is of no ids');
  t.same([existsSync(path), existsSync(`${other}/a/b`)], [false, true]);
});

test('one that is gone already is fine', (t) => {
  const path = tree(t);
  const id = cgroupId(`${path}/d`);
  rmdirSync(`${path}/d`);
  t.equal(removeId(id), true);
  t.equal(removeId(0n), true);
  t.equal(removeId(2n ** 64n - 1n), true);
  t.ok(existsSync(path));
});

test('one made anew by the same name is another one', (t) => {
  const path = tree(t);
  const id = cgroupId(`${path}/d`);
  rmdirSync(`${path}/d`);
  mkdirSync(`${path}/d`);
  t.equal(removeId(id), true);
  t.ok(existsSync(`${path}/d`));
});

test('what is in use goes back to root, with all that the dead ids had of it, and nobody is killed', async (t) => {
  const path = tree(t);
  const end = await occupy(t, `${path}/a/b`);
  for (const cgroup of [path, `${path}/a`, `${path}/a/b`, `${path}/a/c`]) {
    chownSync(cgroup, UID, UID);
    for (const file of ['cgroup.procs', 'cgroup.threads', 'cgroup.type']) chownSync(`${cgroup}/${file}`, UID, UID);
  }
  chmodSync(`${path}/a/b`, 0o777);
  chmodSync(`${path}/a/b/cgroup.procs`, 0o666);
  t.equal(remove(path), false);
  t.same([existsSync(`${path}/a/b`), existsSync(`${path}/a/c`), existsSync(`${path}/d`)], [true, false, false]);
  for (const cgroup of [path, `${path}/a`, `${path}/a/b`]) t.strictSame(owned(cgroup), [], cgroup);
  t.equal(statSync(`${path}/a/b`).mode & 0o777, 0o755, 'and others may do nothing with it that they could not');
  t.equal(statSync(`${path}/a/b/cgroup.procs`).mode & 0o777, 0o644);
  await end();
  t.equal(remove(path), true, 'later it can be removed');
  t.notOk(existsSync(path));
});

test('what others have in it stays theirs', async (t) => {
  const path = tree(t);
  const end = await occupy(t, `${path}/a`);
  chownSync(`${path}/a`, 1000, 1000);
  chownSync(`${path}/a/cgroup.procs`, IDS.start + IDS.size, 1000);
  t.equal(remove(path), false);
  t.strictSame(owned(`${path}/a`), ['. 1000:1000 755', `cgroup.procs ${IDS.start + IDS.size}:1000 644`]);
  await end();
});

test('the whole hierarchy is never removed', (t) => {
  const path = tree(t);
  t.equal(removeId(cgroupId(cgroupRoot)), false);
  t.ok(existsSync(path));
});

test('never what is no cgroup', (t) => {
  t.throws(() => removeId(cgroupId(`${cgroupRoot}/cgroup.procs`)), { code: 'ENOTDIR' });
});

test('a tree that is deeper than any path is removed, also from below its depth', (t) => {
  const path = makeCgroup(t);
  // Each level has the longest name: 17 of them are longer than a path may be.
  const script = `
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
for level in range(300):
    os.mkdir('x' * 255, dir_fd=fd)
    fd, old = os.open('x' * 255, os.O_RDONLY, dir_fd=fd), fd
    os.close(old)
    if level == 100: print(os.fstat(fd).st_ino)
`;
  const { output, exit } = runProgram('/usr/bin/python3', ['-c', script, path]);
  t.equal(exit.status, 0);
  t.equal(removeId(BigInt(output)), true);
  t.equal(remove(path), true);
  t.notOk(existsSync(path));
});

test('a deep tree that is in use at its end goes back to root with one descriptor', async (t) => {
  const path = makeCgroup(t);
  const script = `
import os, subprocess, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
for level in range(100):
    os.mkdir('y' * 200, dir_fd=fd)
    os.chown('y' * 200, ${UID}, ${UID}, dir_fd=fd)
    fd, old = os.open('y' * 200, os.O_RDONLY, dir_fd=fd), fd
    os.close(old)
if len(sys.argv) > 2:
    sleep = subprocess.Popen(['sleep', '600'], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.write(os.open('cgroup.procs', os.O_WRONLY, dir_fd=fd), str(sleep.pid).encode())
    print(sleep.pid)
`;
  const { output } = runProgram('/usr/bin/python3', ['-c', script, path, 'occupied']);
  const sleeper = Number(output);
  t.teardown(() => process.kill(sleeper, 'SIGKILL'));
  t.equal(remove(path), false);
  let [here, depth] = [path, 0];
  for (; readdirSync(here).includes('y'.repeat(200)) && here.length < 3500; depth++) {
    here = `${here}/${'y'.repeat(200)}`;
    t.strictSame(owned(here), []);
  }
  t.ok(depth > 15);
  process.kill(sleeper, 'SIGKILL');
  const end = performance.now() + 10_000;
  while (!remove(path) && performance.now() < end);
  t.notOk(existsSync(path));
});

test('many cgroups are dealt with in small steps', (t) => {
  const path = makeCgroup(t, ...Array.from({ length: 300 }, (_, index) => `c${index}`));
  let steps = 0;
  for (const work = removeCgroup(cgroupId(path), IDS); work.next().done !== true; ) steps++;
  t.ok(steps >= 300);
  t.notOk(existsSync(path));
});

test('what fails is said without the characters that its user put into a name', (t) => {
  const path = makeCgroup(t, 'evil\r\x1b[31m\\');
  chownSync(`${path}/evil\r\x1b[31m\\`, UID, UID);
  const { chmodSync: original, rmdirSync: remover } = fs;
  const fail = (file: string) => {
    throw Object.assign(new SystemError(EIO, 'chmod', file), { path: file });
  };
  Object.assign(fs, { chmodSync: fail, rmdirSync: fail });
  syncBuiltinESMExports();
  try {
    t.throws(() => remove(path), { code: 'EIO', message: /'evil\\xd\\x1b\[31m\\x5c'|'\.'/ });
  } finally {
    Object.assign(fs, { chmodSync: original, rmdirSync: remover });
    syncBuiltinESMExports();
  }
});

test('whatever call fails, no descriptor is left open', async (t) => {
  const path = tree(t);
  const end = await occupy(t, `${path}/a/b`);
  const before = openFds();
  for (const name of ['fstatSync', 'lstatSync', 'opendirSync', 'openSync', 'readlinkSync'] as const) {
    for (let index = 0, failed = true; failed; index++) {
      failed = removeWithFault(path, name, index);
      t.strictSame(openFds(), before, `${name} ${index}`);
    }
  }
  await end();
  t.equal(remove(path), true);
});

test('one that can not be removed at the first try is at the second', (t) => {
  for (let index = 0, failed = true; failed; index++) {
    const path = tree(t);
    failed = removeWithFault(path, 'rmdirSync', index);
    t.notOk(existsSync(path), `rmdir ${index}`);
  }
});

/** Removes a cgroup, of which one call fails. @returns whether there was such a call */
function removeWithFault(
  path: string,
  name: 'fstatSync' | 'lstatSync' | 'opendirSync' | 'openSync' | 'readlinkSync' | 'rmdirSync',
  index: number,
): boolean {
  const original = fs[name] as (...args: unknown[]) => unknown;
  let count = 0;
  const faulty = (...args: unknown[]) => {
    if (count++ === index) throw new SystemError(EIO, name, String(args[0]));
    return original(...args);
  };
  Object.assign(fs, { [name]: faulty });
  syncBuiltinESMExports();
  try {
    remove(path);
  } catch (error) {
    if (!isSystemError(error, 'EIO')) throw error;
  } finally {
    Object.assign(fs, { [name]: original });
    syncBuiltinESMExports();
  }
  return count > index;
}
