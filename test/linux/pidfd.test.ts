import { constants } from 'node:os';
import {
  EPOLLIN,
  Epoll,
  pidfdOpen,
  pidfdSendSignal,
  spawn,
  WCONTINUED,
  WEXITED,
  WNOHANG,
  WNOWAIT,
  WSTOPPED,
  waitPidfd,
} from '@sdrx/linux';
import fc from 'fast-check';
import t from 'tap';
import { children } from '../support/children.js';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';
import { readable } from '../support/readable.js';
import { waitForExit } from '../support/wait-for-exit.js';

const { SIGTERM, SIGKILL, SIGSEGV, SIGSTOP, SIGCONT } = constants.signals;

t.test(
  'the exit status of a child is what it exited with',
  leavingNothing((t) => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 255 }), (status) => {
        const child = spawn('sh', { args: ['-c', `exit ${status}`] });
        t.strictSame(waitForExit(child), { pid: child.pid, code: 'exited', status });
      }),
      { numRuns: 10 },
    );
  }),
);

t.test(
  'a killed child tells the signal',
  leavingNothing((t) => {
    for (const signo of [SIGTERM, SIGKILL]) {
      const child = spawn('sleep', { args: ['1000'] });
      pidfdSendSignal(child.pidfd.number, signo);
      t.strictSame(waitForExit(child), { pid: child.pid, code: 'killed', status: signo });
    }
  }),
);

t.test(
  'a child that dumped core says so',
  leavingNothing((t) => {
    using folder = new Folder();
    const child = spawn('sh', { args: ['-c', 'ulimit -c unlimited && kill -SEGV $$'], cwd: folder.path });
    t.strictSame(waitForExit(child), { pid: child.pid, code: 'dumped', status: SIGSEGV });
  }),
);

t.test(
  'a child that stops and goes on says both',
  leavingNothing((t) => {
    const child = spawn('sleep', { args: ['1000'] });
    const { pid } = child;
    child.kill(SIGSTOP);
    t.strictSame(waitPidfd(child.pidfd.number, WSTOPPED), { pid, code: 'stopped', status: SIGSTOP });
    child.kill(SIGCONT);
    t.strictSame(waitPidfd(child.pidfd.number, WCONTINUED), { pid, code: 'continued', status: SIGCONT });
    child.kill();
    t.strictSame(waitForExit(child), { pid, code: 'killed', status: SIGTERM });
  }),
);

t.test(
  'with WNOHANG there is nothing to tell of a child that runs',
  leavingNothing((t) => {
    const child = spawn('sleep', { args: ['1000'] });
    t.equal(waitPidfd(child.pidfd.number, WEXITED | WSTOPPED | WCONTINUED | WNOHANG), undefined);
    child.kill();
    waitForExit(child);
  }),
);

t.test(
  'with WNOWAIT the child can be asked again, without it is reaped',
  leavingNothing((t) => {
    using child = spawn('false');
    const { pid } = child;
    const expected = { pid, code: 'exited', status: 1 };
    t.strictSame(waitPidfd(child.pidfd.number, WEXITED | WNOWAIT), expected);
    t.ok(children().includes(pid));
    t.strictSame(waitPidfd(child.pidfd.number, WEXITED), expected);
    t.notOk(children().includes(pid));
    t.throws(() => waitPidfd(child.pidfd.number, WEXITED), { code: 'ECHILD', syscall: 'waitid' });
  }),
);

t.test(
  'waiting throws ECHILD for what is no child of ours, EBADF, and EINVAL without something to wait for',
  leavingNothing((t) => {
    using ours = pidfdOpen(process.pid);
    t.throws(() => waitPidfd(ours.number, WEXITED), { code: 'ECHILD' });
    t.throws(() => waitPidfd(9999, WEXITED), { code: 'EBADF', subject: '9999' });
    t.throws(() => waitPidfd(ours.number, WNOHANG), { code: 'EINVAL' });
  }),
);

t.test(
  'a pidfd is readable once the process ended, reaped or not',
  leavingNothing(async (t) => {
    using epoll = new Epoll();
    using child = spawn('sleep', { args: ['1000'] });
    epoll.add(child.pidfd.number, EPOLLIN, 0);
    t.equal(epoll.poll(), 0);
    child.kill();
    await readable(child.pidfd.number);
    t.equal(epoll.poll(), 1);
    waitPidfd(child.pidfd.number, WEXITED);
    t.equal(epoll.poll(), 1);
  }),
);

t.test(
  'sending throws ESRCH once the process is reaped, EBADF, and RangeError for no signal',
  leavingNothing((t) => {
    using child = spawn('true');
    waitPidfd(child.pidfd.number, WEXITED);
    t.throws(() => pidfdSendSignal(child.pidfd.number, 'SIGTERM'), {
      code: 'ESRCH',
      syscall: 'pidfd_send_signal',
      subject: String(child.pidfd.number),
    });
    t.throws(() => pidfdSendSignal(9999, 'SIGTERM'), { code: 'EBADF' });
    t.throws(() => pidfdSendSignal(child.pidfd.number, 0), RangeError);
  }),
);

t.test('opening throws ESRCH for no process, RangeError for no process id', (t) => {
  t.throws(() => pidfdOpen(0x7fff_ffff), { code: 'ESRCH', syscall: 'pidfd_open' });
  t.throws(() => pidfdOpen(0), RangeError);
  t.throws(() => pidfdOpen(-1), RangeError);
  t.end();
});
