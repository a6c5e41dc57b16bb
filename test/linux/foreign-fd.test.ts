import { closeSync, constants, openSync, readdirSync } from 'node:fs';
import { closesAtOnce, Fd, isNeverFlushed, memoryFile, O_PATH, pipe, socketPair } from '@sdrx/linux';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { FuseMount, noFuse } from '../support/fuse-mount.js';
import { leavingNothing } from '../support/nothing-left.js';

const namespace = (kind: string) => new Fd(openSync(`/proc/self/ns/${kind}`, 'r'));

t.test(
  'of all namespaces only those of users and networks are known to close at once',
  leavingNothing((t) => {
    const safe = readdirSync('/proc/self/ns').filter((kind) => {
      using fd = namespace(kind);
      return closesAtOnce(fd.number);
    });
    t.same(safe.sort(), ['net', 'user']);
  }),
);

t.test(
  'nothing else is, whatever it is called',
  leavingNothing((t) => {
    using folder = new Folder();
    const path = folder.join('user:[1]');
    closeSync(openSync(path, 'w'));
    using named = new Fd(openSync(path, 'r'));
    using memory = memoryFile('user:[4026531837]');
    for (const fd of [...pipe(), ...socketPair()]) {
      t.notOk(closesAtOnce(fd.number));
      t.notOk(isNeverFlushed(fd.number));
      fd.close();
    }
    for (const fd of [named, memory]) {
      t.notOk(closesAtOnce(fd.number));
      t.notOk(isNeverFlushed(fd.number));
    }
    for (const fd of [9999, -1]) {
      t.notOk(closesAtOnce(fd));
      t.throws(() => isNeverFlushed(fd), { code: 'EBADF' });
    }
  }),
);

t.test(
  'namespaces, directories and what was opened with O_PATH are never flushed',
  leavingNothing((t) => {
    using user = namespace('user');
    using directory = new Fd(openSync('/', 'r'));
    using path = new Fd(openSync('/etc/hostname', O_PATH));
    using link = new Fd(openSync('/proc/self/exe', O_PATH | constants.O_NOFOLLOW));
    for (const fd of [user, directory, path, link]) t.ok(isNeverFlushed(fd.number));
  }),
);

t.test('a file system that answers nothing is not asked', { skip: noFuse }, async (t) => {
  const mount = await FuseMount.mount();
  const file = openSync(mount.file, 'r');
  mount.stop();
  t.notOk(closesAtOnce(file));
  t.notOk(isNeverFlushed(file));
  await mount.release();
  // Without a server it fails, after all.
  t.throws(() => closeSync(file), { code: 'ENOTCONN' });
});
