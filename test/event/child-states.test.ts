import { spawn as nodeSpawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { EventLoop } from '@sdrx/event';
import {
  type ChildChange,
  type ChildProcess,
  isOpen,
  pidfdOpen,
  pidfdSendSignal,
  signalNumber,
  spawn,
  WEXITED,
  WNOHANG,
  waitPidfd,
} from '@sdrx/linux';
import { firstValueFrom } from 'rxjs';
import t from 'tap';
import { children } from '../support/children.js';
import { needsRoot } from '../support/privileges.js';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';
import { until } from '../support/until.js';
import { waitForExit } from '../support/wait-for-exit.js';
import { onLoop } from './on-loop.js';

const ALL = { stopped: true, continued: true } as const;
const SIGKILL = signalNumber('SIGKILL');
const SIGSTOP = signalNumber('SIGSTOP');
const SIGCONT = signalNumber('SIGCONT');

/** A process that waits to be killed. */
function sleeper(): ChildProcess {
  return spawn('sleep', { args: ['1000'] });
}

/** The state of a process as proc_pid_stat(5) tells it; '' when there is none. */
function state(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'ascii')
      .replace(/^.*\) /s, '')
      .slice(0, 1);
  } catch {
    return '';
  }
}

/** What a source brings, and the error or 'complete' with which it ends. */
function record(source: ReturnType<EventLoop['child']>): { changes: string[]; unsubscribe(): void } {
  const changes: string[] = [];
  const note = ({ code, status }: ChildChange): number => changes.push(`${code} ${status}`);
  const subscription = source.subscribe({
    next: note,
    complete: () => changes.push('complete'),
    error: (error) => changes.push(String(error.code ?? error)),
  });
  return { changes, unsubscribe: () => subscription.unsubscribe() };
}

t.test(
  'a child that stops, goes on and ends comes for each, and completes at its end only',
  onLoop(async (t, loop) => {
    using child = sleeper();
    const { changes } = record(loop.child(child, ALL));
    const expected: string[] = [];
    for (let round = 0; round < 3; round++) {
      child.kill('SIGSTOP');
      expected.push(`stopped ${SIGSTOP}`);
      await until(() => changes.length === expected.length);
      child.kill('SIGCONT');
      expected.push(`continued ${SIGCONT}`);
      await until(() => changes.length === expected.length);
    }
    child.kill('SIGKILL');
    expected.push(`killed ${SIGKILL}`, 'complete');
    await until(() => changes.length === expected.length);
    t.strictSame(changes, expected);
    t.equal(state(child.pid), '', 'it was reaped');
    t.equal(process.listenerCount('SIGCHLD'), 0);
  }),
);

t.test(
  'what is not asked for does not come, and stays for others to be waited for',
  onLoop(async (t, loop) => {
    using child = sleeper();
    const stopped = record(loop.child(child, { stopped: true }));
    const continued = record(loop.child(child, { continued: true }));
    child.kill('SIGSTOP');
    await until(() => stopped.changes.length === 1);
    child.kill('SIGCONT');
    await until(() => continued.changes.length === 1);
    child.kill('SIGTERM');
    await until(() => [stopped, continued].every(({ changes }) => changes.at(-1) === 'complete'));
    const end = [`killed ${signalNumber('SIGTERM')}`, 'complete'];
    t.strictSame(stopped.changes, [`stopped ${SIGSTOP}`, ...end]);
    t.strictSame(continued.changes, [`continued ${SIGCONT}`, ...end]);
  }),
);

t.test(
  'a child that had stopped before comes as such',
  onLoop(async (t, loop) => {
    using child = sleeper();
    child.kill('SIGSTOP');
    await until(() => state(child.pid) === 'T');
    const { changes } = record(loop.child(child, ALL));
    await until(() => changes.length === 1);
    t.strictSame(changes, [`stopped ${SIGSTOP}`]);
    child.kill('SIGKILL');
    await until(() => changes.length === 3);
  }),
);

t.test(
  'a child that stops and ends at once ends',
  onLoop(async (t, loop) => {
    using child = spawn('sh', { args: ['-c', 'kill -STOP $$; exit 7'] });
    const { changes } = record(loop.child(child, ALL));
    await until(() => changes.length === 1);
    child.kill('SIGCONT');
    await until(() => changes.at(-1) === 'complete');
    t.strictSame(changes.slice(0, 1), [`stopped ${SIGSTOP}`]);
    t.strictSame(changes.slice(-2), ['exited 7', 'complete']);
  }),
);

t.test(
  'by process, by pidfd and by id; the listener of SIGCHLD is one for all, and goes with the last',
  onLoop(async (t, loop) => {
    using child = sleeper();
    using pidfd = pidfdOpen(child.pid);
    const first = record(loop.child(child, { continued: true }));
    const others = [pidfd, child.pid].map((which) => record(loop.child(which, { stopped: true })));
    t.equal(process.listenerCount('SIGCHLD'), 1);
    first.unsubscribe();
    t.equal(process.listenerCount('SIGCHLD'), 1);
    child.kill('SIGSTOP');
    // A stop is told once: whoever of the two is first takes it.
    await until(() => others.some(({ changes }) => changes.length === 1));
    child.kill('SIGKILL');
    await until(() => others.every(({ changes }) => changes.at(-1) === 'complete'));
    t.equal(process.listenerCount('SIGCHLD'), 0);
    t.ok(isOpen(pidfd.number));
  }),
);

t.test(
  'a failed subscription leaves no listener of SIGCHLD',
  onLoop(async (t, loop) => {
    for (const pid of [1, process.pid, process.ppid]) {
      await t.rejects(firstValueFrom(loop.child(pid, ALL)), { code: 'ECHILD' });
    }
    t.equal(process.listenerCount('SIGCHLD'), 0);
  }),
);

t.test(
  'many children stop and go on, and none is confused with another',
  onLoop(async (t, loop) => {
    const started = Array.from({ length: 30 }, sleeper);
    const records = started.map((child) => record(loop.child(child, ALL)));
    for (const [index, child] of started.entries()) if (index % 2 === 0) child.kill('SIGSTOP');
    await until(() => records.every(({ changes }, index) => changes.length === (index % 2 === 0 ? 1 : 0)));
    for (const child of started) child.kill('SIGKILL');
    await until(() => records.every(({ changes }) => changes.at(-1) === 'complete'));
    const end = [`killed ${SIGKILL}`, 'complete'];
    t.strictSame(
      records.map(({ changes }) => changes),
      started.map((_, index) => (index % 2 === 0 ? [`stopped ${SIGSTOP}`, ...end] : end)),
    );
    for (const child of started) child[Symbol.dispose]();
  }),
);

t.test(
  'also while a loop listens to SIGCHLD itself',
  onLoop(async (t, loop) => {
    using other = new EventLoop();
    const finished = other.run();
    using child = sleeper();
    const pids: number[] = [];
    const signals = other.signal('SIGCHLD').subscribe(({ pid }) => pids.push(pid));
    const { changes } = record(loop.child(child, ALL));
    child.kill('SIGSTOP');
    await until(() => changes.length === 1);
    signals.unsubscribe();
    child.kill('SIGCONT');
    await until(() => changes.length === 2);
    const again = loop.signal('SIGCHLD').subscribe(({ pid }) => pids.push(pid));
    child.kill('SIGKILL');
    await until(() => changes.length === 4 && pids.length >= 2);
    again.unsubscribe();
    t.strictSame(changes, [`stopped ${SIGSTOP}`, `continued ${SIGCONT}`, `killed ${SIGKILL}`, 'complete']);
    t.strictSame(pids, [child.pid, child.pid]);
    other.exit();
    await finished;
  }),
);

t.test(
  '`own` kills and reaps a child that still runs when the subscription ends',
  onLoop(async (t, loop) => {
    for (const which of ['process', 'pidfd', 'pid'] as const) {
      using child = sleeper();
      using pidfd = pidfdOpen(child.pid);
      const target = { process: child, pidfd, pid: child.pid }[which];
      const { changes, unsubscribe } = record(loop.child(target, { own: true }));
      t.equal(state(child.pid) === '', false);
      unsubscribe();
      t.equal(state(child.pid), '', which);
      t.strictSame(changes, []);
    }
    t.strictSame(children(), []);
  }),
);

t.test(
  '`own` ends one that is stopped, too',
  onLoop(async (t, loop) => {
    using child = sleeper();
    const { changes, unsubscribe } = record(loop.child(child, { own: true, ...ALL }));
    child.kill('SIGSTOP');
    await until(() => changes.length === 1);
    unsubscribe();
    t.equal(state(child.pid), '');
  }),
);

t.test('`own` ends it when the loop ends, and when it is disposed of', async (t) => {
  for (const way of ['exit', 'dispose'] as const) {
    using loop = new EventLoop();
    const finished = loop.run();
    const child = sleeper();
    const { changes } = record(loop.child(child, { own: true }));
    if (way === 'exit') loop.exit();
    else loop[Symbol.dispose]();
    await finished;
    t.equal(state(child.pid), '', way);
    t.strictSame(changes, ['complete']);
    t.notOk(isOpen(child.pidfd.number));
  }
  t.strictSame(children(), []);
});

t.test(
  '`own` of one that ended reaps it: unsubscribed from before, or in the handler',
  onLoop(async (t, loop) => {
    using early = spawn('true');
    const subscription = loop.child(early, { own: true }).subscribe();
    await until(() => state(early.pid) === 'Z' || state(early.pid) === '');
    subscription.unsubscribe();
    t.equal(state(early.pid), '');
    using late = spawn('sh', { args: ['-c', 'exit 3'] });
    t.equal((await firstValueFrom(loop.child(late, { own: true }))).status, 3);
    t.equal(state(late.pid), '');
    using reaped = spawn('true');
    const other = loop.child(reaped, { own: true, priority: 9 }).subscribe({ error: () => undefined });
    waitPidfd(reaped.pidfd.number, WEXITED);
    other.unsubscribe();
    t.strictSame(children(), []);
  }),
);

t.test(
  '`own` of several subscriptions to one child ends with the first that ends',
  onLoop(async (t, loop) => {
    const child = sleeper();
    using pidfd = pidfdOpen(child.pid);
    const first = record(loop.child(child, { own: true }));
    const second = record(loop.child(pidfd.number === -1 ? child : pidfd));
    first.unsubscribe();
    await until(() => second.changes.length > 0);
    // Whoever asks first is told how it ended; it was reaped by the owner.
    t.match(second.changes[0], /ECHILD|killed/);
    t.strictSame(children(), []);
  }),
);

t.test(
  'a child that was started in place of one that ended is never killed for it',
  onLoop(async (t, loop) => {
    let next: ChildProcess | undefined;
    const child = spawn('true');
    const { number } = child.pidfd;
    await new Promise<void>((resolve) => {
      const subscription = loop.child(child, { own: true }).subscribe(() => {
        child[Symbol.dispose]();
        next = sleeper();
        t.equal(next.pidfd.number, number, 'it has the same descriptor');
        subscription.unsubscribe();
        resolve();
      });
    });
    if (next === undefined) throw new Error('nothing was started');
    t.equal(waitPidfd(next.pidfd.number, WEXITED | WNOHANG), undefined, 'it still runs');
    next.kill('SIGKILL');
    waitForExit(next);
    t.strictSame(children(), []);
  }),
);

t.test(
  'nor is one whose descriptor took the place of a pidfd that its owner closed early',
  onLoop(async (t, loop) => {
    const child = sleeper();
    const { pid } = child;
    const { number } = child.pidfd;
    const subscription = loop.child(child, { own: true }).subscribe({ error: () => undefined });
    child[Symbol.dispose]();
    const next = sleeper();
    t.equal(next.pidfd.number, number);
    subscription.unsubscribe();
    t.equal(state(next.pid) === 'Z' || state(next.pid) === '', false, 'it still runs');
    for (const left of [pid, next.pid]) {
      if (!children().includes(left)) continue;
      using pidfd = pidfdOpen(left);
      pidfdSendSignal(pidfd.number, 'SIGKILL');
      waitPidfd(pidfd.number, WEXITED);
    }
    next[Symbol.dispose]();
  }),
);

t.test('a child that got the id of one that was reaped is not reaped for it', needsRoot, (t) => {
  const program = programPath('./programs/reuse-pid.js', import.meta.url);
  for (const moment of ['handler', 'completion']) {
    const { output } = runNode([program, moment], ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child']);
    t.equal(output, '2', `reaped in its ${moment}`);
  }
  t.end();
});

t.test('stopping and going on is an error in a worker thread, EOPNOTSUPP, ending is not', async (t) => {
  const event = import.meta.resolve('@sdrx/event');
  const linux = import.meta.resolve('@sdrx/linux');
  const code = `Promise.all([import('${event}'), import('${linux}')]).then(async ([{ EventLoop }, { spawn }]) => {
    const loop = new EventLoop();
    const finished = loop.run();
    const seen = [];
    const child = spawn('sh', { args: ['-c', 'exit 9'] });
    await new Promise((resolve) => {
      for (const options of [{ stopped: true }, { continued: true }]) {
        loop.child(child, options).subscribe({ error: ({ code }) => seen.push(code) });
      }
      loop.child(child).subscribe({ next: ({ status }) => seen.push(status), complete: resolve });
    });
    child[Symbol.dispose]();
    loop.exit();
    await finished;
    require('node:worker_threads').parentPort.postMessage(seen);
  })`;
  const worker = new Worker(code, { eval: true });
  const seen = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  t.strictSame(seen, ['EOPNOTSUPP', 'EOPNOTSUPP', 9]);
  await worker.terminate();
});

// Last: from its first child on Node catches SIGCHLD itself, and keeps descriptors.
t.test("beside Node's own children both get what is theirs", async (t) => {
  using loop = new EventLoop();
  const finished = loop.run();
  const ours = sleeper();
  const { changes } = record(loop.child(ours, ALL));
  const codes = Array.from({ length: 10 }, (_, status) => {
    const child = nodeSpawn('sh', ['-c', `exit ${status}`], { stdio: 'ignore' });
    return new Promise((resolve) => child.once('exit', resolve));
  });
  ours.kill('SIGSTOP');
  await until(() => changes.length === 1);
  ours.kill('SIGCONT');
  await until(() => changes.length === 2);
  t.strictSame(
    await Promise.all(codes),
    codes.map((_, status) => status),
  );
  ours.kill('SIGKILL');
  await until(() => changes.at(-1) === 'complete');
  t.strictSame(changes, [`stopped ${SIGSTOP}`, `continued ${SIGCONT}`, `killed ${SIGKILL}`, 'complete']);
  ours[Symbol.dispose]();
  t.equal(process.listenerCount('SIGCHLD'), 0);
  loop.exit();
  await finished;
});
