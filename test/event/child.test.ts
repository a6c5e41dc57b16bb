import { existsSync, readFileSync } from 'node:fs';
import type { ChildExit } from '@sdrx/event';
import { type ChildProcess, pidfdOpen, signalNumber, spawn, WEXITED, waitPidfd } from '@sdrx/linux';
import { firstValueFrom, lastValueFrom, toArray } from 'rxjs';
import t from 'tap';
import { children } from '../support/children.js';
import { Folder } from '../support/folder.js';
import { signalMask } from '../support/signal-status.js';
import { until } from '../support/until.js';
import { waitForExit } from '../support/wait-for-exit.js';
import { onLoop } from './on-loop.js';

function shell(script: string, cwd = '/'): ChildProcess {
  return spawn('sh', { args: ['-c', script], cwd });
}

/** A process that waits to be killed. */
function sleeper(): ChildProcess {
  return spawn('sleep', { args: ['1000'] });
}

t.test(
  'comes once with the exit status, and completes',
  onLoop(async (t, loop) => {
    for (const status of [0, 1, 7, 255]) {
      using child = shell(`exit ${status}`);
      const exits = await lastValueFrom(loop.child(child).pipe(toArray()));
      t.strictSame(exits, [{ pid: child.pid, code: 'exited', status }]);
    }
  }),
);

t.test(
  'comes with the signal that killed the child',
  onLoop(async (t, loop) => {
    for (const signal of ['SIGTERM', 'SIGKILL', 'SIGRTMIN+3'] as const) {
      using child = sleeper();
      const exit = firstValueFrom(loop.child(child));
      child.kill(signal);
      t.strictSame(await exit, { pid: child.pid, code: 'killed', status: signalNumber(signal) });
    }
  }),
);

t.test(
  'tells when the child left a core',
  onLoop(async (t, loop) => {
    using folder = new Folder();
    using child = shell('ulimit -c unlimited && kill -ABRT $$', folder.path);
    const exit = await firstValueFrom(loop.child(child));
    t.strictSame(exit, { pid: child.pid, code: 'dumped', status: signalNumber('SIGABRT') });
  }),
);

t.test(
  'the same signal without a core is killed',
  onLoop(async (t, loop) => {
    // The limit counts for cores in files; a program that cores are piped to gets them all the same.
    using child = spawn('prlimit', { args: ['--core=0', 'sh', '-c', 'kill -ABRT $$'] });
    const pattern = readFileSync('/proc/sys/kernel/core_pattern', 'ascii');
    const exit = await firstValueFrom(loop.child(child));
    t.equal(exit.code, pattern.startsWith('|') ? exit.code : 'killed');
    t.equal(exit.status, signalNumber('SIGABRT'));
  }),
);

t.test(
  'takes a process id as well',
  onLoop(async (t, loop) => {
    using child = shell('exit 3');
    t.strictSame(await lastValueFrom(loop.child(child.pid)), { pid: child.pid, code: 'exited', status: 3 });
  }),
);

t.test(
  'comes for a child that has ended before',
  onLoop(async (t, loop) => {
    using child = shell('exit 4');
    await until(() => readFileSync(`/proc/${child.pid}/stat`, 'ascii').includes(') Z '));
    t.equal((await lastValueFrom(loop.child(child))).status, 4);
  }),
);

t.test(
  'the observer still finds the child under /proc; afterwards it is reaped',
  onLoop(async (t, loop) => {
    using child = shell('exit 0');
    const path = `/proc/${child.pid}/status`;
    const seen: [string, boolean][] = [];
    await new Promise<void>((resolve) => {
      loop.child(child).subscribe({
        next: () => seen.push(['next', existsSync(path)]),
        complete: () => {
          seen.push(['complete', existsSync(path)]);
          resolve();
        },
      });
    });
    t.strictSame(seen, [
      ['next', true],
      ['complete', false],
    ]);
    t.notOk(children().includes(child.pid));
  }),
);

t.test(
  '200 children at once come each with its own status, and none stays',
  onLoop(async (t, loop) => {
    const before = children();
    const started = Array.from({ length: 200 }, (_, status) => shell(`exit ${status}`));
    const exits = await Promise.all(started.map((child) => lastValueFrom(loop.child(child))));
    t.strictSame(
      exits,
      started.map(({ pid }, status): ChildExit => ({ pid, code: 'exited', status })),
    );
    t.strictSame(children(), before);
    for (const child of started) child[Symbol.dispose]();
  }),
);

t.test(
  'the observer may close the pidfd, and start another child in its place',
  onLoop(async (t, loop) => {
    const statuses: number[] = [];
    const start = (status: number): void => {
      const child = shell(`exit ${status}`);
      loop.child(child).subscribe((exit) => {
        child[Symbol.dispose]();
        statuses.push(exit.status);
        if (status < 5) start(status + 1);
      });
    };
    start(1);
    await until(() => statuses.length === 5);
    t.strictSame(statuses, [1, 2, 3, 4, 5]);
    t.strictSame(children(), []);
  }),
);

t.test(
  'the child is reaped also when the observer unsubscribes or has waited for it itself',
  onLoop(async (t, loop) => {
    using first = shell('exit 1');
    await firstValueFrom(loop.child(first));
    await until(() => !existsSync(`/proc/${first.pid}`));
    using second = shell('exit 2');
    const completed = new Promise<void>((resolve) => {
      loop.child(second).subscribe({
        next: () => t.equal(waitPidfd(second.pidfd.number, WEXITED)?.status, 2),
        complete: resolve,
        error: (error) => t.fail(String(error)),
      });
    });
    await completed;
    t.strictSame(children(), []);
  }),
);

t.test(
  'a child whose subscription ended before it did stays to its owner',
  onLoop(async (t, loop) => {
    const child = sleeper();
    loop
      .child(child)
      .subscribe(() => t.fail('unsubscribed from'))
      .unsubscribe();
    child.kill('SIGKILL');
    t.equal(waitForExit(child).code, 'killed');
  }),
);

t.test(
  'several subscriptions to one child come all',
  onLoop(async (t, loop) => {
    using child = sleeper();
    const exits = [loop.child(child), loop.child(child), loop.child(child.pid)].map((source) => lastValueFrom(source));
    child.kill('SIGTERM');
    for (const { status } of await Promise.all(exits)) t.equal(status, signalNumber('SIGTERM'));
  }),
);

t.test(
  'a process that does not exist is an error, ESRCH',
  onLoop(async (t, loop) => {
    using child = shell('exit 0');
    waitForExit(child);
    await t.rejects(firstValueFrom(loop.child(child.pid)), { code: 'ESRCH' });
    t.throws(() => loop.child(-1), { name: 'RangeError' });
  }),
);

t.test(
  'a process that is no child of ours is an error at once, ECHILD',
  onLoop(async (t, loop) => {
    for (const pid of [1, process.ppid, process.pid]) {
      await t.rejects(firstValueFrom(loop.child(pid)), { code: 'ECHILD', syscall: 'waitid' });
    }
  }),
);

t.test(
  'a child that somebody else reaped is an error, ECHILD',
  onLoop(async (t, loop) => {
    using child = shell('exit 0');
    const exit = t.rejects(firstValueFrom(loop.child(child)), { code: 'ECHILD' });
    using own = pidfdOpen(child.pid);
    // Blocks, so that the loop can't be the first.
    waitPidfd(own.number, WEXITED);
    await exit;
  }),
);

t.test(
  'a ChildProcess that was disposed of is an error, EBADF',
  onLoop(async (t, loop) => {
    const child = sleeper();
    const { pid } = child;
    child[Symbol.dispose]();
    await t.rejects(firstValueFrom(loop.child(child)), { code: 'EBADF' });
    const exit = firstValueFrom(loop.child(pid));
    process.kill(pid, 'SIGKILL');
    t.equal((await exit).code, 'killed');
  }),
);

t.test(
  'installs no handler of SIGCHLD and changes no mask',
  onLoop(async (t, loop) => {
    const masks = () => [signalMask('SigCgt'), signalMask('SigBlk'), signalMask('SigIgn')];
    const before = masks();
    using child = sleeper();
    const exit = firstValueFrom(loop.child(child));
    t.strictSame(masks(), before);
    child.kill('SIGKILL');
    await exit;
    t.strictSame(masks(), before);
  }),
);
