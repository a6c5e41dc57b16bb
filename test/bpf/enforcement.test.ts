import { openSync } from 'node:fs';
import { EventLoop } from '@sdrx/event';
import { Fd, namespaceInode } from '@sdrx/linux';
import t from 'tap';
import { DEEDS } from '../support/deeds.js';
import { UserNamespace } from '../support/user-namespace.js';
import { folderWithFile, install, needsMachine, newNamespace, place, refused, sh } from './enforced.js';

// The machine is slow.
t.setTimeout(170_000);

t.test('a registered namespace is kept off foreign mounts, and nobody else', needsMachine, async (t) => {
  using loop = new EventLoop();
  const [restrict, log] = install(t, loop, place(t));
  t.comment(`${restrict.hook}; ${log.join('; ')}`);
  using folder = folderWithFile();
  const namespace = newNamespace(t);
  const other = newNamespace(t);
  using fd = namespace.open();
  t.strictSame(refused(namespace, folder.path), []);

  restrict.put(fd.number);
  t.strictSame(refused(namespace, folder.path), DEEDS);
  t.strictSame(refused(other, folder.path), [], 'an unregistered namespace is not concerned');
  t.strictSame(refused(undefined, folder.path), [], 'nor is the first one');
  t.equal(sh(namespace, `cat ${folder.join('old')} && echo > ${folder.join('old')}`), '', 'it may read and write');

  using mount = new Fd(openSync(folder.path, 'r'));
  restrict.allowMount(fd.number, mount.number);
  t.strictSame(refused(namespace, folder.path), [], 'an allowed mount is its own');
  restrict.put(fd.number);
  t.strictSame(refused(namespace, folder.path), DEEDS, 'registered anew, its list is empty');
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
  const inMounts = (who: UserNamespace, whose: UserNamespace) => refused(who, '/mnt', mountsOf(whose));
  t.strictSame(inMounts(parent, parent), []);
  t.strictSame(inMounts(child, child), []);
  t.strictSame(inMounts(parent, child), [], 'a mount of a child is its own');
});

t.test('so it is 32 levels down; what lies deeper is refused', needsMachine, async (t) => {
  using loop = new EventLoop();
  const [restrict] = install(t, loop, place(t));
  using folder = folderWithFile();
  const parent = newNamespace(t);
  using parentFd = parent.open();
  restrict.put(parentFd.number);
  t.strictSame(refused(parent, folder.path), DEEDS);
  // It is the first of these levels. The kernel has one more.
  for (const levels of [32, 33]) {
    const between = Array.from({ length: levels - 2 }, () => ['unshare', '--user', '--map-root-user']).flat();
    const enter = ['nsenter', `--target=${parent.child.pid}`, '--user'];
    const deepest = new UserNamespace([...enter, ...between], '--map-root-user', '--mount');
    t.teardown(() => deepest[Symbol.dispose]());
    t.equal(sh(deepest, 'mount -t tmpfs none /mnt', '--mount'), '');
    using fd = deepest.open();
    restrict.put(fd.number);
    t.strictSame(refused(deepest, folder.path), DEEDS);
    const make = (who: UserNamespace) =>
      sh(who, 'mkdir /mnt/new && rmdir /mnt/new', `--mount=/proc/${deepest.child.pid}/ns/mnt`);
    t.equal(make(deepest), '');
    t.match(make(parent), levels === 32 ? /^$/ : /not permitted/);
  }
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
