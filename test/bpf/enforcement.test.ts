import { chownSync, statSync } from 'node:fs';
import { EventLoop } from '@sdrx/event';
import { namespaceInode } from '@sdrx/linux';
import t from 'tap';
import { DEEDS } from '../support/deeds.js';
import { UserNamespace } from '../support/user-namespace.js';
import {
  folderWithFile,
  install,
  needsMachine,
  nestedNamespace,
  newNamespace,
  place,
  refused,
  refusedWith,
  sh,
} from './enforced.js';

// The machine is slow.
t.setTimeout(170_000);

t.test(
  'a registered namespace leaves nothing on foreign file systems, and nobody else is concerned',
  needsMachine,
  async (t) => {
    using loop = new EventLoop();
    const [restrict, log] = install(t, loop, place(t));
    t.comment(`${restrict.hook}; ${log.join('; ')}`);
    const namespace = newNamespace(t);
    const other = newNamespace(t);
    using folder = folderWithFile(namespace);
    using others = folderWithFile(other);
    using fd = namespace.open();
    t.strictSame(refused(namespace, folder.path), []);
    chownSync(folder.join('old'), namespace.start, namespace.start);

    restrict.put(fd.number);
    t.strictSame(refused(namespace, folder.path), DEEDS);
    t.strictSame(refused(other, others.path), [], 'an unregistered namespace is not concerned');
    t.strictSame(refused(undefined, folder.path), [], 'nor is the first one');
    chownSync(folder.join('old'), namespace.start, namespace.start);
    t.equal(sh(namespace, `cat ${folder.join('old')} && echo > ${folder.join('old')}`), '', 'it may read and write');
    t.equal(sh(namespace, `mv ${folder.join('old')} ${folder.join('new')} && rm ${folder.join('new')}`), '');
    restrict.reset(namespaceInode(fd.number));
    t.equal(sh(namespace, `mkdir ${folder.join('new')}`), '', 'forgotten, it is free');
  },
);

t.test('whatever it unshares', needsMachine, async (t) => {
  using loop = new EventLoop();
  const [restrict] = install(t, loop, place(t));
  const namespace = newNamespace(t);
  using folder = folderWithFile(namespace);
  using fd = namespace.open();
  restrict.put(fd.number);
  for (const program of [
    'unshare --mount',
    'unshare --mount --propagation=private',
    'unshare --user --map-root-user',
    'unshare --user --map-root-user --mount',
    'unshare --mount unshare --user --map-root-user --mount',
    'unshare --user --map-root-user --mount --net --ipc --uts --pid --cgroup --fork',
  ])
    t.strictSame(refusedWith(program, namespace, folder.path), DEEDS, program);
  const bound = `unshare --mount sh -c 'mount --rbind ${folder.path} /mnt && mkdir /mnt/new'`;
  t.match(sh(namespace, bound), 'not permitted', 'a bind mount of its own');
  const moved = `unshare --user --map-root-user --mount sh -c 'mount --rbind ${folder.path} /mnt && mkdir /mnt/new'`;
  t.match(sh(namespace, moved), 'not permitted');
  t.match(sh(namespace, `cd ${folder.path} && unshare --mount sh -c 'mkdir new'`), 'not permitted', 'a held folder');
});

t.test('what it mounts itself, or one below it, is free to it', needsMachine, async (t) => {
  using loop = new EventLoop();
  const [restrict] = install(t, loop, place(t));
  const parent = newNamespace(t, '--mount');
  t.equal(sh(parent, 'mount -t tmpfs none /mnt && : > /mnt/old', '--mount'), '');
  const child = nestedNamespace(t, parent, '--mount');
  t.equal(sh(child, 'mount -t tmpfs none /mnt && : > /mnt/old', '--mount'), '');
  using parentFd = parent.open();
  restrict.put(parentFd.number);
  const mountsOf = (namespace: UserNamespace) => `--mount=/proc/${namespace.child.pid}/ns/mnt`;
  const inMounts = (who: UserNamespace, whose: UserNamespace) => refused(who, '/mnt', mountsOf(whose));
  t.strictSame(inMounts(parent, parent), []);
  t.strictSame(inMounts(child, child), []);
  t.strictSame(inMounts(parent, child), [], "its child's");
  t.strictSame(inMounts(child, parent), [], "its parent's, as long as the parent is the registered one");

  // From now on the child's ids are not only its parent's to give.
  using childFd = child.open();
  restrict.put(childFd.number);
  t.strictSame(inMounts(child, child), []);
  t.strictSame(inMounts(child, parent), DEEDS, "its parent's outlives it");
  t.strictSame(inMounts(parent, child), []);
});

t.test('so it is 32 levels down, which is as deep as it gets', needsMachine, async (t) => {
  using loop = new EventLoop();
  const [restrict] = install(t, loop, place(t));
  const parent = newNamespace(t);
  using folder = folderWithFile(parent);
  using parentFd = parent.open();
  restrict.put(parentFd.number);
  const unshare = (count: number) => Array.from({ length: count }, () => 'unshare --user --map-root-user').join(' ');
  // The registered one is the first level, and the kernel has 33.
  t.strictSame(refusedWith(unshare(32), parent, folder.path), DEEDS);
  t.equal(sh(parent, `${unshare(32)} --mount sh -c 'mount -t tmpfs none /mnt && mkdir /mnt/new'`), '');
  t.match(sh(parent, `${unshare(33)} true`), 'No space left');
});

t.test('who is not lent an id leaves what it likes', needsMachine, async (t) => {
  using loop = new EventLoop();
  const [restrict] = install(t, loop, place(t));
  // Its root is the machine's.
  using namespace = new UserNamespace([], '--map-root-user');
  using folder = folderWithFile();
  using fd = namespace.open();
  restrict.put(fd.number);
  t.strictSame(refused(namespace, folder.path), []);
});

t.test('an owner is looked at before it is one', needsMachine, async (t) => {
  using loop = new EventLoop();
  const [restrict] = install(t, loop, place(t));
  // Its root is the machine's, which is no transient one; others of its ids are.
  using namespace = new UserNamespace();
  const [first, last] = [0x6fff_fff0, 61_184];
  for (const kind of ['uid_map', 'gid_map'])
    sh(undefined, `printf '0 0 1\\n1 ${first} 32\\n50 ${last - 2} 4\\n' > /proc/${namespace.child.pid}/${kind}`);
  using folder = folderWithFile();
  using fd = namespace.open();
  restrict.put(fd.number);
  const chown = (id: string) => sh(namespace, `chown ${id} ${folder.join('old')}`);
  for (const id of ['1', ':1', '16', ':16', '52', ':52', '0:53']) t.match(chown(id), 'not permitted', id);
  for (const id of ['17', ':17', '50', ':51', '51', '0:0']) t.equal(chown(id), '', id);
  t.match(statSync(folder.join('old')), { uid: 0, gid: 0 });
  const as = (uid: number, gid: number) =>
    sh(namespace, `setpriv --reuid=${uid} --regid=${gid} --clear-groups mkdir ${folder.join(`${uid}-${gid}`)}`);
  for (const [uid, gid] of [
    [1, 1],
    [17, 16],
    [16, 17],
    [52, 50],
    [50, 52],
    [0, 1],
  ] as const)
    t.match(as(uid, gid), 'not permitted', `${uid}:${gid}`);
  for (const [uid, gid] of [
    [17, 17],
    [50, 51],
    [0, 17],
  ] as const)
    t.equal(as(uid, gid), '', `${uid}:${gid}`);
});

t.test('setgroups', needsMachine, async (t) => {
  using loop = new EventLoop();
  const [restrict] = install(t, loop, place(t));
  const denied = newNamespace(t);
  const free = newNamespace(t);
  using deniedFd = denied.open();
  using freeFd = free.open();
  restrict.put(deniedFd.number);
  restrict.put(freeFd.number);
  const nested = [denied, free].map((parent) => {
    const child = new UserNamespace(['nsenter', `--target=${parent.child.pid}`, '--user']);
    t.teardown(() => child[Symbol.dispose]());
    for (const kind of ['uid_map', 'gid_map'])
      t.equal(sh(parent, `echo 0 0 65536 > /proc/${child.child.pid}/${kind}`), '');
    return child;
  });
  restrict.denySetgroups(namespaceInode(deniedFd.number));
  // nsenter(1) itself leaves all groups, as soon as it is in the namespace.
  const groups = 'setpriv --groups=7 true';
  t.match(sh(denied, groups), 'setgroups failed: Operation not permitted', 'is denied where it is said');
  t.match(sh(nested[0], groups), 'setgroups failed: Operation not permitted', 'and below');
  t.equal(sh(free, groups), '', 'and nowhere else');
  t.equal(sh(nested[1], groups), '');
  t.equal(sh(undefined, groups), '');
  restrict.reset(namespaceInode(deniedFd.number));
  t.equal(sh(denied, groups), '', 'nor there once it is forgotten');
});
