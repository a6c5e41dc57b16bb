import { closeSync, fstatSync, openSync } from 'node:fs';
import { EnvironmentError, fdStoreLimit, removeStoredFds, storeFds } from '@sdrx/event';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { withEnvironment } from './environment.js';
import { ServiceManager } from './service-manager.js';

let names = 0;

async function withStore(limit: string | undefined, body: (manager: ServiceManager) => void): Promise<void> {
  using manager = new ServiceManager(`@sdrx-test-${process.pid}-store-${names++}`);
  await withEnvironment({ NOTIFY_SOCKET: manager.address, FDSTORE: limit }, () => body(manager));
}

t.test(
  'descriptors are kept under a name, in their order, and forgotten by it',
  leavingNothing((t) =>
    withStore('2', (manager) => {
      const ours = ['/', '/proc', '/etc'].map((path) => openSync(path, 'r'));
      t.ok(storeFds('folders', ours.slice(0, 2)));
      const received = manager.read();
      t.strictSame(received?.lines, ['FDSTORE=1', 'FDNAME=folders']);
      t.strictSame(
        received?.fds.map(({ number }) => fstatSync(number).ino),
        ours.slice(0, 2).map((fd) => fstatSync(fd).ino),
      );
      t.ok(storeFds('alone', ours.slice(2), { poll: false }));
      const alone = manager.read();
      t.strictSame(alone?.lines, ['FDSTORE=1', 'FDNAME=alone', 'FDPOLL=0']);
      t.ok(removeStoredFds('folders'));
      t.strictSame(manager.read()?.lines, ['FDSTOREREMOVE=1', 'FDNAME=folders']);
      for (const fd of [...(received?.fds ?? []), ...(alone?.fds ?? [])]) fd.close();
      ours.forEach(closeSync);
    }),
  ),
);

t.test(
  'as many as there are, in batches that the kernel takes',
  leavingNothing((t) =>
    withStore('1000', (manager) => {
      const [first, second] = [openSync('/', 'r'), openSync('/proc', 'r')];
      const ours = [...new Array<number>(253).fill(first), ...new Array<number>(254).fill(second)];
      t.ok(storeFds('many', ours));
      const inodes: number[] = [];
      const sizes: number[] = [];
      for (let received = manager.read(); received !== undefined; received = manager.read()) {
        t.strictSame(received.lines, ['FDSTORE=1', 'FDNAME=many']);
        sizes.push(received.fds.length);
        for (const fd of received.fds) {
          inodes.push(fstatSync(fd.number).ino);
          fd.close();
        }
      }
      t.strictSame(sizes, [253, 253, 1]);
      t.strictSame(
        inodes,
        ours.map((fd) => fstatSync(fd).ino),
      );
      closeSync(first);
      closeSync(second);
    }),
  ),
);

t.test(
  'where the manager keeps none, or fewer, it is said; they are sent all the same',
  leavingNothing(async (t) => {
    for (const limit of [undefined, '0', '1']) {
      await withStore(limit, (manager) => {
        t.equal(storeFds('two', [0, 1]), false);
        const received = manager.read();
        t.equal(received?.fds.length, 2);
        for (const fd of received?.fds ?? []) fd.close();
      });
    }
    await withEnvironment({ NOTIFY_SOCKET: undefined, FDSTORE: '5' }, () => {
      t.equal(storeFds('two', [0, 1]), false);
      t.equal(removeStoredFds('two'), false);
    });
  }),
);

t.test('what is wrong is refused, and nothing is sent', (t) =>
  withStore('5', (manager) => {
    for (const name of ['', 'a:b', 'ä', 'a\nb', 'x'.repeat(256)]) {
      for (const fds of [[], [0]]) t.throws(() => storeFds(name, fds), { name: 'RangeError', message: /FDNAME/ });
      t.throws(() => removeStoredFds(name), { name: 'RangeError' });
    }
    t.throws(() => storeFds('closed', [1_000_000]), { code: 'EBADF' });
    t.ok(storeFds('none', []));
    t.equal(manager.read(), undefined);
  }),
);

t.test('the limit is what FDSTORE says', (t) => {
  t.equal(fdStoreLimit({ FDSTORE: '4096' }), 4096);
  t.equal(fdStoreLimit({ FDSTORE: '0' }), 0);
  t.equal(fdStoreLimit({}), undefined);
  for (const value of ['', '-1', 'many', '1.5', ' 1']) {
    t.throws(() => fdStoreLimit({ FDSTORE: value }), new EnvironmentError('FDSTORE', value, 'a decimal number'));
  }
  t.end();
});
