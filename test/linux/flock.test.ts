import { openSync } from 'node:fs';
import { Fd, lockExclusive, read, setNonBlocking, socketPair, spawn, tryLockExclusive, unlock } from '@sdrx/linux';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';
import { runProgram } from '../support/run-program.js';
import { waitForExit } from '../support/wait-for-exit.js';

const open = (path: string) => new Fd(openSync(path, 'a'));

/** Whether another process could take the lock of a file now. */
function othersCanLock(path: string): boolean {
  return runProgram('flock', ['--nonblock', path, 'true']).exit.status === 0;
}

t.test(
  'a lock keeps other processes out until it is given back',
  leavingNothing((t) => {
    using folder = new Folder();
    using file = open(folder.join('lock'));
    t.ok(othersCanLock(folder.join('lock')));
    t.ok(tryLockExclusive(file.number));
    t.notOk(othersCanLock(folder.join('lock')));
    unlock(file.number);
    t.ok(othersCanLock(folder.join('lock')));
  }),
);

t.test(
  'a lock keeps out another open file of the same process, and not the same one again',
  leavingNothing((t) => {
    using folder = new Folder();
    using file = open(folder.join('lock'));
    using other = open(folder.join('lock'));
    lockExclusive(file.number);
    t.equal(tryLockExclusive(other.number), false);
    t.equal(tryLockExclusive(file.number), true);
    file.close();
    t.equal(tryLockExclusive(other.number), true);
  }),
);

t.test(
  'a lock goes with its process when that is killed, and who waits for it gets it',
  leavingNothing((t) => {
    using folder = new Folder();
    const [ours, theirs] = socketPair();
    using pipe = ours;
    setNonBlocking(ours.number, false);
    const path = folder.join('lock');
    using file = open(path);
    // It kills itself, the holder, once the kernel lists us as waiting for the lock.
    const holder = spawn('flock', {
      args: [
        path,
        'sh',
        '-c',
        'echo; while ! grep -q "> FLOCK.* $0 " /proc/locks; do :; done; kill -9 $PPID $$',
        String(process.pid),
      ],
      fds: [null, theirs, 2],
    });
    theirs.close();
    t.equal(read(pipe.number, Buffer.alloc(1)), 1);
    t.notOk(tryLockExclusive(file.number));
    lockExclusive(file.number);
    t.match(waitForExit(holder), { code: 'killed', status: 9 });
    t.notOk(othersCanLock(path));
  }),
);

t.test('a closed descriptor throws EBADF', (t) => {
  for (const call of [lockExclusive, tryLockExclusive, unlock]) {
    t.throws(() => call(9999), { code: 'EBADF', syscall: 'flock', subject: '9999' });
  }
  t.end();
});

t.test(
  'giving back what was not taken is harmless',
  leavingNothing((t) => {
    using folder = new Folder();
    using file = open(folder.join('lock'));
    unlock(file.number);
    t.ok(tryLockExclusive(file.number));
  }),
);
