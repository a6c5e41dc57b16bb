import { openSync } from 'node:fs';
import { Fd, isCgroup, isNamespace, namespaceInode, namespaceType, O_PATH, socketPair, statx } from '@sdrx/linux';
import t from 'tap';
import { cgroupRoot, needsCgroups } from '../support/cgroup.js';
import { MUTE_FILES, MuteFuse, needsFuse } from '../support/mute-fuse.js';
import { leavingNothing } from '../support/nothing-left.js';

t.test(
  'namespaces are told from all else, however they were opened',
  leavingNothing((t) => {
    for (const kind of ['user', 'net', 'pid', 'mnt']) {
      for (const flags of [0, O_PATH]) {
        using fd = new Fd(openSync(`/proc/self/ns/${kind}`, flags));
        t.equal(isNamespace(fd.number), true, kind);
        t.equal(isCgroup(fd.number), false, kind);
      }
    }
    for (const path of ['/proc/self/ns', '/proc', '/', '/dev/null', '/etc/passwd']) {
      using fd = new Fd(openSync(path, 'r'));
      t.equal(isNamespace(fd.number), false, path);
      t.equal(isCgroup(fd.number), false, path);
    }
    const [first, second] = socketPair();
    using socket = first;
    second.close();
    t.equal(isNamespace(socket.number), false, 'a socket');
  }),
);

t.test('cgroups are told from all else', needsCgroups, (t) => {
  using fd = new Fd(openSync(cgroupRoot, 'r'));
  t.equal(isCgroup(fd.number), true);
  t.equal(isNamespace(fd.number), false);
  using file = new Fd(openSync(`${cgroupRoot}/cgroup.procs`, 'r'));
  t.equal(isCgroup(file.number), false, 'a file of one is none');
  t.end();
});

t.test('a closed descriptor throws EBADF', (t) => {
  for (const ask of [isNamespace, isCgroup]) t.throws(() => ask(9999), { code: 'EBADF', syscall: 'statx' });
  t.end();
});

t.test('of a file system that never answers the kind is known all the same', needsFuse, async (t) => {
  using fuse = await MuteFuse.start(t);
  for (const file of MUTE_FILES) {
    const fd = fuse.fd(file);
    t.equal(isNamespace(fd), false, file);
    t.equal(isCgroup(fd), false, file);
    t.equal(namespaceType(fd), undefined, file);
  }
  // A file of FUSE itself is only for who is in its namespace.
  for (const file of ['file', 'directory'] as const) t.throws(() => statx(fuse.fd(file)), { code: 'EACCES' }, file);
  t.equal(statx(fuse.fd('overlay directory')).isDirectory, true);
  t.equal(statx(fuse.fd('overlay file')).isDirectory, false);
  t.ok(namespaceInode(fuse.fd('overlay file')) > 0);
});
