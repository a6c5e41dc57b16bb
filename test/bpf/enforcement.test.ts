import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readdirSync, rmSync } from 'node:fs';
import {
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_RINGBUF,
  type BpfLog,
  BpfMap,
  BpfObject,
  installUsernsRestrict,
  openUsernsRestrict,
  type UsernsRestrict,
} from '@sdrx/bpf';
import { EventLoop } from '@sdrx/event';
import { Fd, namespaceInode, spawn } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { Folder } from '../support/folder.js';
import { programPath } from '../support/program-path.js';
import { until } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';
import { waitForExit } from '../support/wait-for-exit.js';
import { number } from './number.js';

/** Only a machine of its own lets BPF programs of these kinds in, and may be changed. */
const needsMachine = process.env.SDRX_VM
  ? {}
  : { skip: 'only for a virtual machine of its own, whose kernel enforces userns-restrict' };

t.setTimeout(120_000);

const ours = programPath('../../../packages/bpf/dist/userns-restrict.bpf.o', import.meta.url);
const otherRelease = programPath('./programs/other-release.bpf.o', import.meta.url);

/** What creates an inode or changes an owner, in a folder with a file `old`. */
const DEEDS = {
  mkdir: 'mkdir new',
  file: ': > new',
  fifo: 'mkfifo new',
  symlink: 'ln -s old new',
  link: 'ln old new',
  chown: 'chown 0:0 old',
};

/** Where this test installs everything: a place of its own, so that none sees what another left behind. */
function place(t: Test): string {
  const directory = `/sys/fs/bpf/test-${t.name.replaceAll(/\W+/g, '_').slice(0, 60)}`;
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function install(t: Test, loop: EventLoop, directory: string, object?: string): [UsernsRestrict, string[]] {
  const lines: string[] = [];
  const log: BpfLog = (level, message) => lines.push(`${level} ${message}`);
  const restrict = installUsernsRestrict({ loop, log, directory, ...(object !== undefined && { object }) });
  t.teardown(() => restrict[Symbol.dispose]());
  return [restrict, lines];
}

/** A namespace whose root is the machine's. */
function newNamespace(t: Test, ...options: readonly string[]): UserNamespace {
  const namespace = new UserNamespace([], '--map-root-user', ...options);
  t.teardown(() => namespace[Symbol.dispose]());
  return namespace;
}

/** Runs a shell command in a namespace. @returns what it says on its standard error; empty if it succeeds */
function sh(namespace: UserNamespace | undefined, script: string, ...options: readonly string[]): string {
  const enter = namespace === undefined ? [] : ['nsenter', `--target=${namespace.child.pid}`, '--user', ...options];
  const [file = '', ...args] = [...enter, 'sh', '-c', script];
  const { stderr, status } = spawnSync(file, args, { encoding: 'utf8', env: { PATH: process.env.PATH, LC_ALL: 'C' } });
  return status === 0 ? '' : stderr || `exit code ${status}`;
}

/** Which of the deeds fail in `folder`, each with its reason. */
function refused(namespace: UserNamespace | undefined, folder: string, ...options: readonly string[]): string[] {
  return Object.entries(DEEDS).flatMap(([deed, script]) => {
    const said = sh(namespace, `cd ${folder} && : > old; ${script}`, ...options);
    sh(undefined, `cd ${folder} && rm -rf new`);
    if (said === '') return [];
    return [/not permitted/.test(said) ? deed : `${deed}: ${said}`];
  });
}

const ALL = Object.keys(DEEDS);

t.test('a registered namespace is kept off foreign mounts, and nobody else', needsMachine, async (t) => {
  using loop = new EventLoop();
  const [restrict, log] = install(t, loop, place(t));
  t.comment(`${restrict.hook}; ${log.join('; ')}`);
  using folder = new Folder();
  sh(undefined, `: > ${folder.join('old')}`);
  const namespace = newNamespace(t);
  const other = newNamespace(t);
  using fd = namespace.open();
  t.strictSame(refused(namespace, folder.path), []);

  restrict.put(fd.number);
  t.strictSame(refused(namespace, folder.path), ALL);
  t.strictSame(refused(other, folder.path), [], 'an unregistered namespace is not concerned');
  t.strictSame(refused(undefined, folder.path), [], 'nor is the first one');
  t.equal(sh(namespace, `cat ${folder.join('old')} && echo > ${folder.join('old')}`), '', 'it may read and write');

  using mount = new Fd(openSync(folder.path, 'r'));
  restrict.allowMount(fd.number, mount.number);
  t.strictSame(refused(namespace, folder.path), [], 'an allowed mount is its own');
  restrict.put(fd.number);
  t.strictSame(refused(namespace, folder.path), ALL, 'registered anew, its list is empty');
  restrict.reset(namespaceInode(fd.number));
  t.strictSame(refused(namespace, folder.path), [], 'forgotten, it is free');
});

t.test('mounts of its own, and of namespaces below it, are its own', needsMachine, async (t) => {
  using loop = new EventLoop();
  const [restrict] = install(t, loop, place(t));
  const parent = newNamespace(t, '--mount');
  t.equal(sh(parent, 'mount -t tmpfs none /mnt && : > /mnt/old', '--mount'), '');
  const child = new UserNamespace(
    ['nsenter', `--target=${parent.child.pid}`, '--user', '--mount'],
    '--map-root-user',
    '--mount',
  );
  t.teardown(() => child[Symbol.dispose]());
  t.equal(sh(child, 'mount -t tmpfs none /mnt && : > /mnt/old', '--mount'), '');
  using parentFd = parent.open();
  using childFd = child.open();
  restrict.put(parentFd.number);
  restrict.put(childFd.number);

  const mountsOf = (namespace: UserNamespace) => `--mount=/proc/${namespace.child.pid}/ns/mnt`;
  const inMounts = (who: UserNamespace, whose: UserNamespace) =>
    Object.entries(DEEDS).flatMap(([deed, script]) => {
      const said = sh(who, `cd /mnt && ${script}; status=$?; rm -rf new; exit $status`, mountsOf(whose));
      return said === '' ? [] : [/not permitted/.test(said) ? deed : `${deed}: ${said}`];
    });
  t.strictSame(inMounts(parent, parent), []);
  t.strictSame(inMounts(child, child), []);
  t.strictSame(inMounts(parent, child), [], 'a mount of a child is its own');
});

t.test('the mounts of a parent are foreign', needsMachine, async (t) => {
  using loop = new EventLoop();
  const [restrict] = install(t, loop, place(t));
  const parent = newNamespace(t, '--mount');
  t.equal(sh(parent, 'mount -t tmpfs none /mnt && : > /mnt/old', '--mount'), '');
  // In its parent's mount namespace.
  const enter = ['nsenter', `--target=${parent.child.pid}`, '--user', '--mount'];
  const child = new UserNamespace(enter, '--map-root-user');
  t.teardown(() => child[Symbol.dispose]());
  t.equal(sh(child, 'mkdir /mnt/new', '--mount'), '');
  using fd = child.open();
  restrict.put(fd.number);
  t.match(sh(child, 'mkdir /mnt/other', '--mount'), 'not permitted');
});

t.test('it is enforced when who installed it has ended, and found again', needsMachine, async (t) => {
  using loop = new EventLoop();
  const directory = place(t);
  using folder = new Folder();
  const namespace = newNamespace(t);
  using fd = namespace.open();
  {
    const [first] = install(t, loop, directory);
    first.put(fd.number);
    first[Symbol.dispose]();
  }
  t.match(sh(namespace, `mkdir ${folder.join('new')}`), 'not permitted');
  {
    using opened = openUsernsRestrict({ directory });
    t.equal(opened.hook, undefined);
    using mount = new Fd(openSync(folder.path, 'r'));
    opened.allowMount(fd.number, mount.number);
  }
  t.equal(sh(namespace, `mkdir ${folder.join('new')}`), '');
  const [again, log] = install(t, loop, directory);
  t.equal(log.filter((line) => line.includes('attached already')).length, 6, 'five hooks, and the death of namespaces');
  t.equal(sh(namespace, `mkdir ${folder.join('newer')}`), '', 'the lists are the same');
  again.reset(namespaceInode(fd.number));
});

t.test('programs of another release are replaced without a gap', needsMachine, async (t) => {
  using loop = new EventLoop();
  const directory = place(t);
  using folder = new Folder();
  const namespace = newNamespace(t);
  using fd = namespace.open();
  const [other] = install(t, loop, directory, otherRelease);
  other.put(fd.number);
  t.match(sh(namespace, `mkdir ${folder.join('new')}`), 'Permission denied');

  // Tries as fast as it can while the programs change, and says so if it ever succeeds.
  const target = `--target=${namespace.child.pid}`;
  const attempts = `import os
while not os.path.exists('${folder.join('stop')}'):
  try:
    os.mkdir('${folder.join('new')}')
    os._exit(1)
  except OSError: pass`;
  const trial = spawn('nsenter', { args: [target, '--user', 'python3', '-c', attempts], fds: [null, 2, 2] });
  const [, log] = install(t, loop, directory);
  t.match(log.join('\n'), "path_mkdir attached instead of another release's");
  sh(undefined, `: > ${folder.join('stop')}`);
  const exit = waitForExit(trial);
  t.strictSame([exit.code, exit.status], ['exited', 0], 'it never succeeded');
  t.match(sh(namespace, `mkdir ${folder.join('new')}`), 'not permitted');
});

t.test('the death of registered namespaces is told, of a whole chain too', needsMachine, async (t) => {
  using loop = new EventLoop();
  const [restrict] = install(t, loop, place(t));
  const finished = loop.run();
  const stranger = newNamespace(t);
  const parent = newNamespace(t);
  const child = new UserNamespace(['nsenter', `--target=${parent.child.pid}`, '--user'], '--map-root-user');
  const inodes = [parent, child].map((namespace) => {
    using fd = namespace.open();
    restrict.put(fd.number);
    return namespaceInode(fd.number);
  });
  const all: number[] = [];
  const told = new Promise<void>((resolve) => {
    const subscription = restrict.dead.subscribe((some) => {
      all.push(...some);
      if (all.length < 2) return;
      subscription.unsubscribe();
      resolve();
    });
  });
  stranger[Symbol.dispose]();
  parent[Symbol.dispose]();
  child[Symbol.dispose]();
  await told;
  t.strictSame(all.sort(), inodes.sort(), 'and of nobody else');
  restrict.reset(...inodes);
  loop.exit();
  await finished;
});

for (const program of ['sdrx_fentry_retire', 'sdrx_kprobe_retire', 'sdrx_fentry_free', 'sdrx_kprobe_free']) {
  t.test(`deaths are told by ${program}`, needsMachine, async (t) => {
    using object = BpfObject.load(ours, { programs: [program] });
    object.attachAll();
    using ring = object.ringBuffer('userns_ringbuf');
    using list = BpfMap.create({ type: BPF_MAP_TYPE_HASH, keySize: 4, valueSize: 4, maxEntries: 1 });
    const namespace = newNamespace(t);
    using fd = namespace.open();
    const inode = number(namespaceInode(fd.number));
    object.map('userns_mnt_id_hash').set(inode, number(list.fd));
    fd.close();
    namespace[Symbol.dispose]();
    let told: Buffer[] = [];
    await until(() => {
      told = [...ring.read()].map((record) => Buffer.from(record));
      return told.length > 0;
    });
    t.strictSame(told, [inode]);
  });
}

const unit = 'systemd-nsresourced.service';
const needsSystemds = existsSync(`/usr/lib/systemd/system/${unit}`)
  ? needsMachine
  : { skip: 'this systemd has no systemd-nsresourced' };

t.test("what systemd's daemon has pinned is taken over, and it goes on with ours", needsSystemds, async (t) => {
  const directory = '/sys/fs/bpf/systemd/userns-restrict';
  const systemctl = (...args: readonly string[]) => execFileSync('systemctl', args);
  const stop = () => systemctl('stop', 'systemd-nsresourced.socket', unit);
  stop();
  rmSync(directory, { recursive: true, force: true });
  t.teardown(() => {
    stop();
    rmSync(directory, { recursive: true, force: true });
    systemctl('start', 'systemd-nsresourced.socket');
  });
  systemctl('start', unit);
  await until(() => existsSync(`${directory}/maps/userns_ringbuf`));
  t.comment(readdirSync(directory, { recursive: true }).join(' '));
  stop();

  using loop = new EventLoop();
  const namespace = newNamespace(t);
  using fd = namespace.open();
  using folder = new Folder();
  {
    // As systemd's daemon registers one, before we come.
    using namespaces = BpfMap.openPinned(`${directory}/maps/userns_mnt_id_hash`);
    using list = BpfMap.create({ type: BPF_MAP_TYPE_HASH, keySize: 4, valueSize: 4, maxEntries: 4096 });
    namespaces.set(number(namespaceInode(fd.number)), number(list.fd));
  }
  t.strictSame(refused(namespace, folder.path), ALL);
  const [restrict, log] = install(t, loop, directory);
  t.comment(log.join('; '));
  t.match(log.join('\n'), "path_mkdir attached, taken over from the program 'userns_restrict'");
  t.strictSame(refused(namespace, folder.path), ALL);
  using mount = new Fd(openSync(folder.path, 'r'));
  restrict.allowMount(fd.number, mount.number);
  t.strictSame(refused(namespace, folder.path), [], 'nothing of the other one is left');
  restrict[Symbol.dispose]();

  systemctl('start', unit);
  const invocation = execFileSync('systemctl', ['show', '--property=InvocationID', '--value', unit], {
    encoding: 'utf8',
  }).trim();
  const journal = () => execFileSync('journalctl', [`_SYSTEMD_INVOCATION_ID=${invocation}`], { encoding: 'utf8' });
  // Its own way to learn of deaths has another name than ours; of the rest it finds that it is there.
  await until(() => journal().includes('free_user_ns now attached'));
  t.notMatch(journal(), /path_\w+ now attached|interfaces disabled/);
  t.strictSame(refused(namespace, folder.path), [], 'the lists are the same');
  stop();
  const [, last] = install(t, loop, directory);
  t.equal(last.filter((line) => line.includes('attached already')).length, 6);
  t.strictSame(
    readdirSync(`${directory}/programs`).sort(),
    ['path_chown', 'path_link', 'path_mkdir', 'path_mknod', 'path_symlink', 'retire_userns_sysctls'],
    'what would tell of each death a second time is gone',
  );
});

t.test('more deaths than the ring buffer has room for are all told', needsMachine, async (t) => {
  using loop = new EventLoop();
  const directory = place(t);
  mkdirSync(`${directory}/maps`, { recursive: true });
  {
    // Room for 256.
    using ring = BpfMap.create({ type: BPF_MAP_TYPE_RINGBUF, keySize: 0, valueSize: 0, maxEntries: 4096 });
    ring.pin(`${directory}/maps/userns_ringbuf`);
  }
  const [restrict] = install(t, loop, directory);
  const namespaces = Array.from({ length: 270 }, () => newNamespace(t));
  const inodes = namespaces.map((namespace) => {
    using fd = namespace.open();
    restrict.put(fd.number);
    return namespaceInode(fd.number);
  });
  for (const namespace of namespaces) namespace[Symbol.dispose]();
  const finished = loop.run();
  const left = new Set(inodes);
  await new Promise<void>((resolve) => {
    const subscription = restrict.dead.subscribe((some) => {
      for (const inode of some) left.delete(inode);
      restrict.reset(...some);
      if (left.size > 0) return;
      subscription.unsubscribe();
      resolve();
    });
  });
  t.equal(left.size, 0);
  loop.exit();
  await finished;
});
