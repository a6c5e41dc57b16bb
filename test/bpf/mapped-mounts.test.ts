import { chmodSync, chownSync, mkdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { EventLoop } from '@sdrx/event';
import t, { type Test } from 'tap';
import { DEEDS } from '../support/deeds.js';
import { Folder } from '../support/folder.js';
import { until } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';
import { install, needsMachine, newNamespace, place, refused, sh, share } from './enforced.js';
import { cloneMount, mapMount, placeMount } from './mounts.js';

/** A user namespace with these lines in both of its maps; its mounts map the outside to the inside. */
function namespaceWith(t: Test, lines: readonly string[], ...options: readonly string[]): UserNamespace {
  const namespace = new UserNamespace([], ...options);
  t.teardown(() => namespace[Symbol.dispose]());
  for (const kind of ['uid_map', 'gid_map'])
    writeFileSync(`/proc/${namespace.child.pid}/${kind}`, lines.map((line) => `${line}\n`).join(''));
  return namespace;
}

/** A folder for everyone, with mounts in it. */
class FolderWithMounts extends Folder {
  readonly #targets: string[] = [];

  constructor() {
    super();
    chmodSync(this.path, 0o777);
  }

  /** Makes a folder in it. */
  make(name: string): string {
    const path = this.join(name);
    mkdirSync(path);
    chmodSync(path, 0o777);
    return path;
  }

  /** Lets what is at `path` be seen at a folder in it, with ids mapped as a namespace has them. @returns where */
  bind(path: string, namespace: UserNamespace): string {
    const target = this.make(`mapped-${this.#targets.length}`);
    using mount = cloneMount(path);
    using fd = namespace.open();
    mapMount(mount, fd);
    placeMount(mount, target);
    this.#targets.push(target);
    return target;
  }

  override [Symbol.dispose](): void {
    for (const target of this.#targets) sh(undefined, `umount --lazy ${target}`);
    super[Symbol.dispose]();
  }
}

t.test('a mount that maps what is lent to something else is free', needsMachine, async (t) => {
  using loop = new EventLoop();
  const [restrict] = install(t, loop, place(t));
  const namespace = newNamespace(t);
  using fd = namespace.open();
  restrict.put(fd.number);
  using folder = new FolderWithMounts();
  const plain = folder.make('plain');
  // On the disk it is root's, and in the namespace, too.
  share(plain, 0);
  const mapped = folder.bind(plain, namespace);
  t.strictSame(refused(namespace, mapped), []);
  t.equal(sh(namespace, `mkdir ${mapped}/made`), '');
  t.match(statSync(`${plain}/made`), { uid: 0, gid: 0 });
  t.match(sh(namespace, `mkdir ${plain}/new`), 'not permitted', 'the same one, seen as it is');
  for (const program of ['unshare --mount', 'unshare --user --map-root-user', 'unshare --user --map-root-user --mount'])
    t.equal(sh(namespace, `${program} sh -c 'mkdir ${mapped}/new && rmdir ${mapped}/new'`), '', program);
});

t.test('one that maps it to what is lent to another is not', needsMachine, async (t) => {
  using loop = new EventLoop();
  const [restrict] = install(t, loop, place(t));
  const namespace = newNamespace(t);
  const { start } = namespace;
  using fd = namespace.open();
  restrict.put(fd.number);
  using folder = new FolderWithMounts();
  const cases = {
    itself: `${start} ${start} 65536`,
    another: `${0x5000_0000} ${start} 65536`,
    single: `61184 ${start} 4336`,
  };
  for (const [name, line] of Object.entries(cases)) {
    const plain = folder.make(name);
    share(plain, Number(line.split(' ')[0]));
    const mapped = folder.bind(plain, namespaceWith(t, [line]));
    t.strictSame(refused(namespace, mapped), DEEDS, name);
  }
});

t.test('maps of up to 340 extents, in any order, are read as the kernel reads them', needsMachine, async (t) => {
  using loop = new EventLoop();
  const [restrict] = install(t, loop, place(t));
  // Low numbers, so that 340 lines fit into the one page that a map may be written from.
  const [first, size] = [61_184, 4336];
  const namespace = namespaceWith(t, [`0 ${first} ${size}`]);
  using fd = namespace.open();
  restrict.put(fd.number);
  using folder = new FolderWithMounts();
  for (const count of [1, 2, 5, 6, 7, 64, 339, 340]) {
    const bad = Math.floor(count / 2);
    // What comes first on the disk comes last outside; every third id is mapped, one of them to what is lent.
    const inside = (index: number) => (index === bad ? 65_519 : index);
    const outside = (index: number) => (count - 1 - index) * 3;
    const lines = Array.from({ length: count }, (_, index) => `${inside(index)} ${first + outside(index)} 1`);
    const plain = folder.make(`plain-${count}`);
    const mapped = folder.bind(plain, namespaceWith(t, lines));
    const tries: [uid: number, gid: number, name: string, isRight: (said: string) => void][] = [];
    const some = [...new Set([0, 1, bad - 1, bad + 1, count - 2, count - 1])].filter(
      (index) => index >= 0 && index < count && index !== bad,
    );
    for (const index of some) {
      const [own, lent] = [outside(index), outside(bad)];
      tries.push(
        [own, own, `made-${index}`, (said) => t.equal(said, '', `${count} extents, number ${index}`)],
        [own, lent, 'new', (said) => t.match(said, 'not permitted', 'the group is lent')],
        [lent, own, 'new', (said) => t.match(said, 'not permitted', 'the user is lent')],
        [own + 1, own, 'new', (said) => t.match(said, 'too large', 'the kernel refuses who is not mapped')],
      );
    }
    const lent = outside(bad);
    tries.push([lent, lent, 'new', (said) => t.match(said, 'not permitted', `${count} extents, what is lent`)]);
    // In one shell: to enter a namespace takes an emulated machine long.
    const commands = tries.map(
      ([uid, gid, name]) =>
        `setpriv --reuid=${uid} --regid=${gid} --clear-groups mkdir ${mapped}/${name}; echo END >&2`,
    );
    const said = sh(namespace, [...commands, 'false'].join('\n')).split(/END\n/);
    t.equal(said.length, tries.length + 1);
    for (const [index, [, , , isRight]] of tries.entries()) isRight(said[index] ?? '');
    for (const index of some) t.match(statSync(`${plain}/made-${index}`), { uid: index, gid: index });
  }
});

/** Binds, in the mount namespace of another namespace, its /mnt at its /media, mapped. @returns whether it can be mapped */
function bindWithin(whose: UserNamespace, mapping: UserNamespace): boolean {
  const target = `--mount=/proc/${whose.child.pid}/ns/mnt`;
  const bind = `mount --bind -o X-mount.idmap=/proc/${mapping.child.pid}/ns/user /mnt /media`;
  // Before util-linux 2.39 the option is ignored, before Linux 6.3 the kernel refuses it for tmpfs.
  const isMapped = 'grep -q " /media .*idmapped" /proc/self/mountinfo';
  return sh(undefined, `nsenter ${target} sh -c '${bind} && ${isMapped}'`) === '';
}

t.test("a file system of another namespace's has that one's ids", needsMachine, async (t) => {
  using loop = new EventLoop();
  const [restrict] = install(t, loop, place(t));
  const namespace = newNamespace(t);
  using fd = namespace.open();
  restrict.put(fd.number);
  const owners = { 'not lent': 200_000, lent: 0x5000_0000 };
  for (const [name, start] of Object.entries(owners)) {
    const owner = namespaceWith(t, [`0 ${start} 65536`], '--mount');
    t.equal(sh(owner, 'mount -t tmpfs none /mnt && chmod 777 /mnt && : > /mnt/old', '--mount'), '');
    if (!bindWithin(owner, namespace)) {
      t.comment('this kernel or mount(8) maps no mounts of tmpfs');
      t.pass();
      return;
    }
    const within = `--mount=/proc/${owner.child.pid}/ns/mnt`;
    t.strictSame(refused(namespace, '/media', within), name === 'lent' ? DEEDS : [], name);
    t.match(sh(namespace, 'mkdir /mnt/new', within), 'not permitted', 'not mapped');
  }
});

t.test('a folder that was passed in is judged by its own mount', needsMachine, async (t) => {
  using loop = new EventLoop();
  const [restrict] = install(t, loop, place(t));
  const namespace = newNamespace(t);
  using fd = namespace.open();
  restrict.put(fd.number);
  using folder = new FolderWithMounts();
  const plain = folder.make('plain');
  const mapped = folder.bind(plain, namespace);
  // So that there is no other way to it.
  chmodSync(folder.path, 0o700);
  const through = (path: string, script: string) =>
    sh(undefined, `exec 9< ${path} && nsenter --target=${namespace.child.pid} --user ${script}`);
  for (const program of ['', 'unshare --mount', 'unshare --user --map-root-user --mount']) {
    t.match(through(plain, `${program} mkdir /proc/self/fd/9/new`), 'not permitted', program);
    t.equal(through(mapped, `${program} sh -c 'mkdir /proc/self/fd/9/new && rmdir /proc/self/fd/9/new'`), '');
  }
});

t.test('a file without a name is one that can get one', needsMachine, async (t) => {
  using loop = new EventLoop();
  const [restrict] = install(t, loop, place(t));
  const namespace = newNamespace(t);
  using fd = namespace.open();
  using folder = new FolderWithMounts();
  const plain = folder.make('plain');
  const mapped = folder.bind(plain, namespace);
  const open = (path: string) => `python3 -c "import os; os.open('${path}', os.O_TMPFILE | os.O_RDWR, 0o666)"`;
  t.equal(sh(namespace, open(plain)), '');
  restrict.put(fd.number);
  t.match(sh(namespace, open(plain)), 'not permitted');
  t.match(sh(namespace, `unshare --user --map-root-user --mount ${open(plain)}`), 'not permitted');
  t.equal(sh(namespace, open(mapped)), '');
  t.equal(sh(namespace, `unshare --mount sh -c 'mount -t tmpfs none /mnt && "$@"' sh ${open('/mnt')}`), '');
  t.equal(sh(undefined, open(plain)), '');
});

t.test('control groups that it was given are its own', needsMachine, async (t) => {
  using loop = new EventLoop();
  const [restrict] = install(t, loop, place(t));
  const namespace = newNamespace(t);
  using fd = namespace.open();
  restrict.put(fd.number);
  const group = '/sys/fs/cgroup/given';
  mkdirSync(group);
  t.teardown(() => rmdirSync(group));
  t.match(sh(namespace, `mkdir ${group}/below`), 'Permission denied');
  chownSync(group, namespace.start, namespace.start);
  t.equal(sh(namespace, `mkdir ${group}/below && chown 7:7 ${group}/below && rmdir ${group}/below`), '');
  const within = 'mount --rbind /sys/fs/cgroup /mnt && mkdir /mnt/given/below && rmdir /mnt/given/below';
  t.equal(sh(namespace, `unshare --mount sh -c '${within}'`), '');
});

/** Where an overlay's parts are. */
function layers(folder: string): string {
  return `lowerdir=${folder}/lower,upperdir=${folder}/upper,workdir=${folder}/work`;
}

/** Makes the parts, which are a namespace's. */
function makeLayers(folder: string, owner: number): void {
  for (const name of ['lower', 'upper', 'work']) {
    mkdirSync(`${folder}/${name}`);
    chownSync(`${folder}/${name}`, owner, owner);
  }
}

t.test('an overlay is judged by its upper layer', needsMachine, async (t) => {
  using loop = new EventLoop();
  const [restrict] = install(t, loop, place(t));
  const namespace = newNamespace(t);
  const { start } = namespace;
  using fd = namespace.open();
  using folder = new FolderWithMounts();
  const plain = folder.make('plain');
  makeLayers(plain, start);
  /** A mount that maps what is the namespace's, from its `first` id on, to what begins at `to`, `count` of them. */
  const mappedTo = (name: string, ...lines: readonly (readonly [to: number, first: number, count: number])[]) => {
    const path = folder.make(name);
    makeLayers(path, lines[0]?.[0] ?? 0);
    const text = lines.map(([to, first, count]) => `${to} ${start + first} ${count}`);
    return folder.bind(path, namespaceWith(t, text));
  };
  const toForeign = mappedTo('to-foreign', [0x7ffe_0000, 0, 65_536]);
  const toFirst = mappedTo('to-first', [0, 0, 61_184]);
  const toItself = mappedTo('to-itself', [start, 0, 65_536]);
  // Only some of what is written would be lent to another.
  const toSingle = mappedTo('to-single', [0, 0, 61_185]);
  const partly = mappedTo(
    'partly',
    ...Array.from({ length: 9 }, (_, index) => [index === 8 ? 0x5000_0000 : index, index, 1] as const),
  );

  const enter = ['', 'unshare --user --map-root-user '];
  /** By fsopen(2), and by mount(2) where that is another way. */
  const ways = ['', 'LIBMOUNT_FORCE_MOUNT2=always '];
  const overlay = (options: string, then: string, before = '') =>
    enter.flatMap((program) =>
      ways.map((way) =>
        sh(
          namespace,
          `${program}unshare --mount sh -c '${before} ${way}mount -t overlay -o ${options} none /mnt ${then}'`,
        ),
      ),
    );
  const all = (outcomes: readonly string[], like: RegExp, message: string) => {
    for (const outcome of outcomes) t.match(outcome, like, message);
  };
  const works = '&& mkdir /mnt/new && touch /mnt/file && rm -r /mnt/new /mnt/file';
  all(overlay(layers(plain), works), /^$/, 'before it is registered');
  t.match(statSync(`${plain}/work/work`), { uid: start });

  restrict.put(fd.number);
  const denied = /permi|denied/i;
  all(overlay(layers(plain), ''), denied, 'on what outlives it');
  all(overlay(`ro,${layers(plain)}`, ''), denied, 'read-only for now');
  all(overlay(layers(toItself), ''), denied, 'mapped to what is lent');
  all(overlay(layers(toSingle), ''), denied, 'mapped to more than what is not');
  all(overlay(layers(partly), ''), denied, 'mapped in part to what is lent');
  all(overlay(layers(toForeign), works), /^$/, 'mapped to what is not');
  all(overlay(layers(toFirst), works), /^$/, 'mapped to what is not, from the first id on');
  all(overlay(`lowerdir=${plain}/lower:${toFirst}/lower`, ''), /^$/, 'without an upper layer');
  const own = 'mount -t tmpfs none /media && mkdir /media/lower /media/upper /media/work &&';
  all(overlay(layers('/media'), works, own), /^$/, 'on its own file system');
});

t.test('overlays are refused where the kernel does not describe them, and that is said', needsMachine, async (t) => {
  using loop = new EventLoop();
  // The kernel loads it when it is asked for, by a program that can be another one.
  const loader = '/proc/sys/kernel/modprobe';
  const usual = readFileSync(loader, 'ascii');
  await until(() => sh(undefined, 'modprobe --remove overlay') === '', 100);
  writeFileSync(loader, '/bin/false\n');
  const restore = () => writeFileSync(loader, usual);
  t.teardown(restore);
  const [restrict, log] = install(t, loop, place(t));
  restore();
  t.match(restrict.omissions, [/^the kernel does not describe overlayfs.*may mount no overlay$/]);
  t.equal(restrict.omissions.length, 1);
  t.ok(log.includes(`warning userns-restrict: ${restrict.omissions[0]}`));

  const namespace = newNamespace(t);
  using fd = namespace.open();
  const own = 'mount -t tmpfs none /media && mkdir /media/lower /media/upper /media/work';
  const overlay = () =>
    sh(namespace, `unshare --mount sh -c '${own} && mount -t overlay -o ${layers('/media')} none /mnt'`);
  t.equal(sh(undefined, 'modprobe overlay'), '');
  t.equal(overlay(), '');
  restrict.put(fd.number);
  t.match(overlay(), /permi|denied/i);

  const [again] = install(t, loop, place(t, '-again'));
  t.strictSame(again.omissions, [], 'whoever installs it later has no need to say so');
});
