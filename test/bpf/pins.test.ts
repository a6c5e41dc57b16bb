import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readdirSync, rmSync } from 'node:fs';
import {
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_RINGBUF,
  BpfLink,
  BpfMap,
  BpfObject,
  openUsernsRestrict,
  type UsernsRestrict,
} from '@sdrx/bpf';
import { EventLoop } from '@sdrx/event';
import { Fd, namespaceInode, tryLockExclusive } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { DEEDS } from '../support/deeds.js';
import { leavingNothing } from '../support/nothing-left.js';
import { programPath } from '../support/program-path.js';
import { systemdRelease } from '../support/systemd-release.js';
import { until } from '../support/until.js';
import { Attempts } from './attempts.js';
import { folderWithFile, install, load, needsMachine, newNamespace, place, refused, sh } from './enforced.js';
import { number } from './number.js';

const otherRelease = programPath('./programs/other-release.bpf.o', import.meta.url);
const formerRelease = programPath('./programs/former-release.bpf.o', import.meta.url);

const PROGRAMS = [
  'path_chown',
  'path_link',
  'path_mkdir',
  'path_mknod',
  'path_symlink',
  'retire_userns_sysctls',
  'sb_kern_mount',
  'task_fix_setgroups',
];

t.test('it is enforced when who installed it has ended, and found again', needsMachine, async (t) => {
  using loop = new EventLoop();
  const directory = place(t);
  using folder = folderWithFile();
  const namespace = newNamespace(t);
  using fd = namespace.open();
  const mkdir = (name: string) => sh(namespace, `mkdir ${folder.join(name)}`);
  {
    const [first] = load(t, loop, directory);
    first.put(fd.number);
    t.equal(first.hook, undefined);
    t.equal(mkdir('early'), '', 'only when it is attached');
    first.attach();
    t.ok(first.hook);
    first[Symbol.dispose]();
  }
  t.match(mkdir('new'), 'not permitted');
  t.strictSame(readdirSync(`${directory}/programs`).sort(), PROGRAMS);
  t.strictSame(readdirSync(`${directory}/maps`).sort(), ['userns_managed', 'userns_ringbuf', 'userns_setgroups_deny']);
  t.strictSame(readdirSync(`${directory}-sdrx/maps`), ['userns_overflow'], 'what systemd does not have is elsewhere');
  t.strictSame(readdirSync(`${directory}-sdrx/programs`).sort(), ['file_open', 'path_rename']);
  {
    using opened = openUsernsRestrict({ directory });
    t.equal(opened.hook, undefined);
    opened.reset(namespaceInode(fd.number));
  }
  t.equal(mkdir('new'), '');
  const [again, log] = load(t, loop, directory);
  again.put(fd.number);
  t.match(mkdir('newer'), 'not permitted', 'the maps are the same');
  again.attach();
  t.equal(log.filter((line) => line.includes('attached already')).length, PROGRAMS.length + 2);
  again.reset(namespaceInode(fd.number));
  t.equal(mkdir('newer'), '');
});

t.test('what another program has pinned, and does not fit, is left alone', needsMachine, async (t) => {
  using loop = new EventLoop();
  using folder = folderWithFile();
  const namespace = newNamespace(t);
  using fd = namespace.open();
  const directory = place(t);
  mkdirSync(`${directory}/maps`, { recursive: true });
  using unlike = BpfMap.create({ type: BPF_MAP_TYPE_HASH, keySize: 4, valueSize: 8, maxEntries: 8 });
  unlike.pin(`${directory}/maps/userns_managed`);
  for (const time of ['first', 'second']) {
    const [restrict, log] = install(t, loop, directory);
    t.equal(
      log.filter((line) => line.includes('is left alone, for userns_managed do not fit')).length,
      time === 'first' ? 1 : 0,
    );
    restrict.put(fd.number);
    restrict[Symbol.dispose]();
    t.match(sh(namespace, `mkdir ${folder.join('new')}`), 'not permitted');
    using opened = openUsernsRestrict({ directory });
    opened.reset(namespaceInode(fd.number));
    t.equal(sh(namespace, `mkdir ${folder.join(time)}`), '');
  }
  using untouched = BpfMap.openPinned(`${directory}/maps/userns_managed`);
  t.equal(untouched.id, unlike.id);
  t.strictSame([...untouched.keys()], []);
  t.strictSame(readdirSync(directory), ['maps']);
});

t.test('programs of another release are replaced without a gap', needsMachine, async (t) => {
  using loop = new EventLoop();
  const directory = place(t);
  using folder = folderWithFile();
  const namespace = newNamespace(t);
  using fd = namespace.open();
  const [other] = install(t, loop, directory, { object: otherRelease });
  other.put(fd.number);
  other[Symbol.dispose]();
  t.match(sh(namespace, `mkdir ${folder.join('new')}`), 'Permission denied');

  using attempts = new Attempts(namespace);
  await attempts.more();
  const [, log] = install(t, loop, directory);
  await attempts.more();
  t.match(log.join('\n'), "path_mkdir attached instead of another release's");
  t.notOk(attempts.end(), 'it never succeeded');
  t.match(sh(namespace, `mkdir ${folder.join('new')}`), 'not permitted');
});

t.test(
  'nothing stays open but what is read and written',
  needsMachine,
  leavingNothing((t) => {
    using loop = new EventLoop();
    const [restrict] = install(t, loop, place(t));
    restrict[Symbol.dispose]();
    const [other] = load(t, loop, place(t));
    other[Symbol.dispose]();
  }),
);

/** What an older release of ours has pinned and attached. */
function installFormer(t: Test, folder: string): BpfObject {
  for (const part of ['maps', 'programs']) mkdirSync(`${folder}/${part}`, { recursive: true });
  const former = BpfObject.load(formerRelease);
  t.teardown(() => former[Symbol.dispose]());
  for (const name of former.maps) former.map(name).pin(`${folder}/maps/${name}`);
  for (const name of former.programs) former.attach(name).pin(`${folder}/programs/${name}`);
  return former;
}

/** Registers a namespace as a release did that judged by mounts. */
function putFormer(namespaces: BpfMap, inode: number): void {
  using list = BpfMap.create({ type: BPF_MAP_TYPE_HASH, keySize: 4, valueSize: 4, maxEntries: 4096 });
  namespaces.set(number(inode), number(list.fd));
}

/** Listens until so many dead namespaces were told. */
async function deadOnes(loop: EventLoop, restrict: UsernsRestrict, count: number): Promise<number[]> {
  const finished = loop.run();
  const all: number[] = [];
  await new Promise<void>((resolve) => {
    const subscription = restrict.dead.subscribe((some) => {
      all.push(...some);
      if (all.length < count) return;
      setImmediate(() => {
        subscription.unsubscribe();
        resolve();
      });
    });
  });
  loop.exit();
  await finished;
  return all;
}

t.test('programs that judged by mounts go when ours are attached, not before', needsMachine, async (t) => {
  using loop = new EventLoop();
  const directory = place(t);
  const former = `${directory}-former`;
  const object = installFormer(t, former);
  using folder = folderWithFile();
  const namespace = newNamespace(t);
  const dead = newNamespace(t);
  using fd = namespace.open();
  const deadInode = (() => {
    using fd = dead.open();
    return namespaceInode(fd.number);
  })();
  putFormer(object.map('userns_mnt_id_hash'), namespaceInode(fd.number));
  putFormer(object.map('userns_mnt_id_hash'), deadInode);
  object.map('userns_overflow').set(number(7), number(7));
  t.match(sh(namespace, `mkdir ${folder.join('new')}`), 'Permission denied');
  dead[Symbol.dispose]();
  // Who installed it has ended.
  object[Symbol.dispose]();
  using attempts = new Attempts(namespace);
  await attempts.more();

  const [restrict, log] = load(t, loop, directory);
  await attempts.more();
  restrict.put(fd.number);
  await attempts.more();
  t.ok(existsSync(`${former}/programs/path_mkdir`));
  t.match(sh(namespace, `mkdir ${folder.join('new')}`), 'Permission denied');
  using ring = BpfMap.openPinned(`${former}/maps/userns_ringbuf`);
  t.equal(ring.type, BPF_MAP_TYPE_RINGBUF);
  restrict.attach();
  await attempts.more();
  t.notOk(attempts.end(), 'it never succeeded');
  t.match(sh(namespace, `mkdir ${folder.join('new')}`), 'not permitted');
  t.notOk(existsSync(former));
  t.match(log.join('\n'), `${former} removed`);
  t.strictSame(
    (await deadOnes(loop, restrict, 2)).sort(),
    [7, deadInode].sort(),
    'deaths that nobody had read are told',
  );
});

t.test('programs that judged by mounts stay if ours can not be attached', needsMachine, async (t) => {
  using loop = new EventLoop();
  const directory = place(t);
  const former = `${directory}-former`;
  installFormer(t, former);
  const [restrict] = load(t, loop, directory);
  // Nothing can be pinned by the name of a folder that is not empty.
  rmSync(`${directory}/programs`, { recursive: true });
  mkdirSync(`${directory}/programs/task_fix_setgroups/in_the_way`, { recursive: true });
  t.throws(() => restrict.attach());
  t.ok(existsSync(`${former}/programs/path_mkdir`));
});

t.test('while another process of ours is told of deaths by older programs, they stay', needsMachine, async (t) => {
  using loop = new EventLoop();
  const directory = place(t);
  const former = `${directory}-former`;
  installFormer(t, former);
  const [restrict] = load(t, loop, directory);
  // Another open file, so that it is like another process.
  using maps = new Fd(openSync(`${former}/maps`, 'r'));
  t.ok(tryLockExclusive(maps.number));
  t.throws(() => restrict.attach(), { code: 'ERR_BPF_IN_USE' });
  t.ok(existsSync(`${former}/programs/path_mkdir`));
});

const unit = 'systemd-nsresourced.service';
const missing = existsSync(`/usr/lib/systemd/system/${unit}`) ? undefined : 'this systemd has no systemd-nsresourced';

/** Starts systemd's own daemon, with nothing of another one pinned; it ends with the test, and nothing is pinned then. */
function systemds(t: Test, ...folders: readonly string[]) {
  const systemctl = (...args: readonly string[]) => execFileSync('systemctl', args, { encoding: 'utf8' });
  const stop = () => systemctl('stop', 'systemd-nsresourced.socket', unit);
  const clear = () => {
    stop();
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  };
  clear();
  t.teardown(() => {
    clear();
    systemctl('start', 'systemd-nsresourced.socket');
  });
  return {
    stop,
    start: () => systemctl('start', unit),
    journal: () => {
      const invocation = systemctl('show', '--property=InvocationID', '--value', unit).trim();
      execFileSync('journalctl', ['--sync']);
      return execFileSync('journalctl', [`_SYSTEMD_INVOCATION_ID=${invocation}`], { encoding: 'utf8' });
    },
  };
}

const FORMER = '/sys/fs/bpf/systemd/userns-restrict';
const SHARED = '/sys/fs/bpf/systemd/userns-restrict-v2';

const notFormer = systemdRelease() > 257 ? "this systemd's judges by other things than mounts" : undefined;
const whyNotFormer = missing ?? notFormer;
const needsFormer = whyNotFormer === undefined ? needsMachine : { skip: whyNotFormer };

t.test("what systemd's daemon up to 261 has pinned is taken over without a gap", needsFormer, async (t) => {
  const daemon = systemds(t, FORMER, SHARED, `${SHARED}-sdrx`);
  daemon.start();
  await until(() => existsSync(`${FORMER}/maps/userns_ringbuf`));
  daemon.stop();

  using loop = new EventLoop();
  const namespace = newNamespace(t);
  using fd = namespace.open();
  using folder = folderWithFile(namespace);
  {
    // As systemd's daemon registers one, before we come.
    using namespaces = BpfMap.openPinned(`${FORMER}/maps/userns_mnt_id_hash`);
    putFormer(namespaces, namespaceInode(fd.number));
  }
  t.strictSame(refused(namespace, folder.path), DEEDS);
  using attempts = new Attempts(namespace);
  await attempts.more();
  const [restrict, log] = load(t, loop, SHARED, { former: FORMER });
  restrict.put(fd.number);
  restrict.attach();
  await attempts.more();
  t.notOk(attempts.end(), 'it never succeeded');
  t.comment(log.join('; '));
  t.notOk(existsSync(FORMER));
  t.strictSame(refused(namespace, folder.path), DEEDS);
  restrict.reset(namespaceInode(fd.number));
  t.strictSame(refused(namespace, folder.path), [], 'nothing of the other one is left');
});

const notShared = systemdRelease() < 262 ? 'systemd has these pins since 262' : undefined;
const whyNotShared = missing ?? notShared;
const needsShared = whyNotShared === undefined ? needsMachine : { skip: whyNotShared };

/** What a map is like, but for what differs each time. */
function shapes(folder: string): Record<string, object> {
  const names = readdirSync(`${folder}/maps`).sort();
  return Object.fromEntries(
    names.map((name) => {
      using map = BpfMap.openPinned(`${folder}/maps/${name}`);
      const { type, keySize, valueSize, maxEntries, flags, name: kernelName } = map;
      return [name, { type, keySize, valueSize, maxEntries, flags, kernelName }];
    }),
  );
}

/** The name of the program that is attached by the link at a path. */
function programAt(path: string): string {
  using link = BpfLink.openPinned(path);
  using program = link.program();
  return program.name;
}

t.test("ours and systemd's daemon since 262 go on with what the other has pinned", needsShared, async (t) => {
  const daemon = systemds(t, FORMER, SHARED, `${SHARED}-sdrx`);
  daemon.start();
  await until(() => existsSync(`${SHARED}/programs/task_fix_setgroups`));
  daemon.stop();
  t.strictSame(readdirSync(`${SHARED}/programs`).sort(), PROGRAMS);
  using loop = new EventLoop();
  {
    const [, log] = load(t, loop, place(t));
    t.strictSame(shapes(SHARED), shapes(place(t)), 'maps are alike');
    t.comment(log.join('; '));
  }
  const namespace = newNamespace(t);
  using fd = namespace.open();
  using folder = folderWithFile(namespace);
  {
    // As systemd's daemon registers one.
    using managed = BpfMap.openPinned(`${SHARED}/maps/userns_managed`);
    managed.set(number(namespaceInode(fd.number)), number(1));
  }
  t.strictSame(refused(namespace, folder.path), DEEDS);
  using attempts = new Attempts(namespace);
  await attempts.more();
  const [restrict, log] = load(t, loop, SHARED);
  t.strictSame(restrict.inodes(), [namespaceInode(fd.number)]);
  restrict.attach();
  await attempts.more();
  t.match(log.join('\n'), "path_mkdir attached, taken over from the program 'userns_restrict'");
  t.match(programAt(`${SHARED}/programs/path_mkdir`), /^sdrx_path_mkdir/);
  t.strictSame(refused(namespace, folder.path), DEEDS);
  restrict[Symbol.dispose]();

  daemon.start();
  t.notMatch(daemon.journal(), /now attached|disabled|Failed/);
  t.match(programAt(`${SHARED}/programs/path_mkdir`), /^sdrx_path_mkdir/);
  await attempts.more();
  t.strictSame(refused(namespace, folder.path), DEEDS, 'it goes on with ours');
  daemon.stop();
  const [last, lastLog] = install(t, loop, SHARED);
  t.equal(lastLog.filter((line) => line.includes('attached already')).length, PROGRAMS.length + 2);
  t.notOk(attempts.end(), 'it never succeeded');
  last.reset(namespaceInode(fd.number));
});
