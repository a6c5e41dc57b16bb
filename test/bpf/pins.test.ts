import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readdirSync, rmSync } from 'node:fs';
import { BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_HASH_OF_MAPS, BpfMap, openUsernsRestrict } from '@sdrx/bpf';
import { EventLoop } from '@sdrx/event';
import { Fd, namespaceInode, spawn } from '@sdrx/linux';
import t from 'tap';
import { DEEDS } from '../support/deeds.js';
import { programPath } from '../support/program-path.js';
import { systemdRelease } from '../support/systemd-release.js';
import { until } from '../support/until.js';
import { waitForExit } from '../support/wait-for-exit.js';
import { folderWithFile, install, needsMachine, newNamespace, place, refused, sh } from './enforced.js';
import { number } from './number.js';

// The machine is slow.
t.setTimeout(170_000);

const otherRelease = programPath('./programs/other-release.bpf.o', import.meta.url);

t.test('it is enforced when who installed it has ended, and found again', needsMachine, async (t) => {
  using loop = new EventLoop();
  const directory = place(t);
  using folder = folderWithFile();
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

t.test('what another program has pinned, and does not fit, is left alone', needsMachine, async (t) => {
  using loop = new EventLoop();
  using folder = folderWithFile();
  const namespace = newNamespace(t);
  using fd = namespace.open();
  const entry = { type: BPF_MAP_TYPE_HASH, keySize: 4, valueSize: 4, maxEntries: 8 };
  using unlike = BpfMap.create({ ...entry, valueSize: 8 });
  using lists = BpfMap.create({ ...entry, type: BPF_MAP_TYPE_HASH_OF_MAPS, inner: unlike });
  for (const [name, map] of Object.entries({ another: unlike, lists })) {
    const directory = place(t, name);
    mkdirSync(`${directory}/maps`, { recursive: true });
    map.pin(`${directory}/maps/userns_mnt_id_hash`);
    for (const time of ['first', 'second']) {
      const [restrict, log] = install(t, loop, directory);
      t.equal(
        log.filter((line) => line.includes('is left alone, for userns_mnt_id_hash do not fit')).length,
        time === 'first' ? 1 : 0,
      );
      restrict.put(fd.number);
      restrict[Symbol.dispose]();
      t.match(sh(namespace, `mkdir ${folder.join('new')}`), 'not permitted');
      using mount = new Fd(openSync(folder.path, 'r'));
      using opened = openUsernsRestrict({ directory });
      opened.allowMount(fd.number, mount.number);
      t.equal(sh(namespace, `mkdir ${folder.join(`${name}-${time}`)}`), '');
      opened.reset(namespaceInode(fd.number));
    }
    using untouched = BpfMap.openPinned(`${directory}/maps/userns_mnt_id_hash`);
    t.equal(untouched.id, map.id);
    t.strictSame([...untouched.keys()], []);
    t.strictSame(readdirSync(directory).sort(), ['maps', 'sdrx']);
  }
});

t.test('programs of another release are replaced without a gap', needsMachine, async (t) => {
  using loop = new EventLoop();
  const directory = place(t);
  using folder = folderWithFile();
  const namespace = newNamespace(t);
  using fd = namespace.open();
  const [other] = install(t, loop, directory, otherRelease);
  other.put(fd.number);
  other[Symbol.dispose]();
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

const unit = 'systemd-nsresourced.service';
const missing = existsSync(`/usr/lib/systemd/system/${unit}`) ? undefined : 'this systemd has no systemd-nsresourced';
const elsewhere = systemdRelease() > 257 ? "this systemd's has its programs in another place, unlike ours" : undefined;
const whyNot = missing ?? elsewhere;
const needsSystemds = whyNot === undefined ? needsMachine : { skip: whyNot };

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
  stop();

  using loop = new EventLoop();
  const namespace = newNamespace(t);
  using fd = namespace.open();
  using folder = folderWithFile();
  {
    // As systemd's daemon registers one, before we come.
    using namespaces = BpfMap.openPinned(`${directory}/maps/userns_mnt_id_hash`);
    using list = BpfMap.create({ type: BPF_MAP_TYPE_HASH, keySize: 4, valueSize: 4, maxEntries: 4096 });
    namespaces.set(number(namespaceInode(fd.number)), number(list.fd));
  }
  t.strictSame(refused(namespace, folder.path), DEEDS);
  const [restrict, log] = install(t, loop, directory);
  t.comment(log.join('; '));
  t.match(log.join('\n'), "path_mkdir attached, taken over from the program 'userns_restrict'");
  t.strictSame(refused(namespace, folder.path), DEEDS);
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
