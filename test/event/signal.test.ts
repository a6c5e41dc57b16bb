import { Worker } from 'node:worker_threads';
import { EventLoop } from '@sdrx/event';
import { libc, SIGRTMIN, type SignalInfo, setBlocked, signalNumber, sigqueue, spawn } from '@sdrx/linux';
import { firstValueFrom, take, toArray } from 'rxjs';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';
import { hasSignal } from '../support/signal-status.js';
import { until } from '../support/until.js';
import { waitForExit } from '../support/wait-for-exit.js';
import { onLoop } from './on-loop.js';

const SIGUSR1 = signalNumber('SIGUSR1');
const SIGUSR2 = signalNumber('SIGUSR2');
/** Neither Node nor the test runner has anything to do with it: its action is the default one. */
const COMMAND = SIGRTMIN + 18;
const uid = process.getuid?.() ?? -1;
const SYS_TGKILL = process.arch === 'arm64' ? 131 : 234;
const tgkill = libc<(number: number, tgid: number, tid: number, signo: number) => number>(
  'long syscall(long, long, long, long)',
);
const sender = programPath('../linux/programs/queue-signals.js', import.meta.url);

/** What /proc tells of a signal's disposition and the main thread's mask. */
function state(signo: number): { readonly blocked: boolean; readonly caught: boolean } {
  return { blocked: hasSignal('SigBlk', signo), caught: hasSignal('SigCgt', signo) };
}

t.test(
  'comes with sender, code and no value for a signal of kill(2)',
  onLoop(async (t, loop) => {
    const signal = firstValueFrom(loop.signal('SIGUSR2'));
    process.kill(process.pid, 'SIGUSR2');
    t.strictSame(await signal, { signo: SIGUSR2, code: 0, pid: process.pid, uid, value: 0 });
  }),
);

t.test(
  'comes with the value for a signal of sigqueue(3)',
  onLoop(async (t, loop) => {
    for (const value of [0, 1, -1, 2 ** 31 - 1, -(2 ** 31)]) {
      const signal = firstValueFrom(loop.signal(SIGUSR1));
      sigqueue(process.pid, 'SIGUSR1', value);
      t.strictSame(await signal, { signo: SIGUSR1, code: -1, pid: process.pid, uid, value });
    }
  }),
);

t.test(
  'comes with the process that sent it',
  onLoop(async (t, loop) => {
    const signal = firstValueFrom(loop.signal('SIGHUP'));
    const kill = spawn('sh', { args: ['-c', `kill -HUP ${process.pid}`] });
    t.match(await signal, { code: 0, pid: kill.pid, uid });
    waitForExit(kill);
  }),
);

t.test(
  'real-time signals come each with its value, also several of one',
  onLoop(async (t, loop) => {
    const signals = firstValueFrom(loop.signal('SIGRTMIN+18').pipe(take(50), toArray()));
    for (let value = 0; value < 50; value++) sigqueue(process.pid, 'SIGRTMIN+18', value);
    const received = await signals;
    t.ok(received.every(({ signo, code }) => signo === SIGRTMIN + 18 && code === -1));
    // The order among several is not kept: see signal/signal-forwarder.ts of @sdrx/linux.
    t.strictSame(
      received.map(({ value }) => value).sort((a, b) => a - b),
      Array.from({ length: 50 }, (_, value) => value),
    );
  }),
);

/** A burst of 20,000 from two processes, received while the loop allocates and compiles for all that V8 has threads for. */
async function receiveBurst(t: { equal(a: unknown, b: unknown): unknown }, loop: EventLoop): Promise<void> {
  const received: SignalInfo[] = [];
  const kept: unknown[] = [];
  const busy = loop.defer({ repeat: true, priority: 10 }).subscribe(() => {
    const items = Array.from({ length: 500 }, (_, index) => ({ index, text: `${index}`.repeat(9), list: [index] }));
    kept[received.length % 50] = items;
    const sum = new Function('items', `let s = ${kept.length}; for (const { list } of items) s += list[0]; return s;`);
    for (let round = 0; round < 10; round++) sum(items);
  });
  const signals = loop.signal('SIGRTMIN+18', { priority: 5 }).subscribe((info) => received.push(info));
  const senders = ['0', '10000'].map((first) =>
    spawn(process.execPath, { args: [sender, `${process.pid}`, first, '10000'] }),
  );
  const pids = senders.map(({ pid }) => pid);
  await until(() => received.length >= 20_000);
  for (const child of senders) waitForExit(child);
  busy.unsubscribe();
  signals.unsubscribe();
  t.equal(received.length, 20_000);
  t.equal(new Set(received.map(({ value }) => value)).size, 20_000);
  const odd = received.filter(({ code, pid, value }) => code !== -1 || pid !== pids[value < 10_000 ? 0 : 1]);
  t.equal(odd.length, 0);
}

t.test("none of 20,000 queued signals is lost while V8's threads are busy", onLoop(receiveBurst));

t.test(
  'none is lost either when a source of a higher priority makes the loop ask the kernel before each',
  onLoop(async (t, loop) => {
    const important = loop.time({ after: 3_600_000, priority: -1 }).subscribe();
    await receiveBurst(t, loop);
    important.unsubscribe();
  }),
);

t.test(
  'all subscribers of a signal get it, each by its priority',
  onLoop(async (t, loop) => {
    const order: string[] = [];
    const late = loop.signal('SIGUSR2', { priority: 3 }).subscribe(({ value }) => order.push(`late ${value}`));
    const early = loop.signal('SIGUSR2', { priority: -3 }).subscribe(({ value }) => order.push(`early ${value}`));
    sigqueue(process.pid, 'SIGUSR2', 1);
    await until(() => order.length === 2);
    early.unsubscribe();
    sigqueue(process.pid, 'SIGUSR2', 2);
    await until(() => order.length === 3);
    t.strictSame(order, ['early 1', 'late 1', 'late 2']);
    late.unsubscribe();
  }),
);

t.test(
  'different signals come each to its own subscriber',
  onLoop(async (t, loop) => {
    const one = firstValueFrom(loop.signal('SIGUSR1'));
    const two = firstValueFrom(loop.signal('SIGUSR2'));
    process.kill(process.pid, 'SIGUSR2');
    process.kill(process.pid, 'SIGUSR1');
    t.strictSame([(await one).signo, (await two).signo], [SIGUSR1, SIGUSR2]);
  }),
);

t.test('mask and disposition change with the first subscription, and are put back after the last', (t) => {
  using loop = new EventLoop();
  for (const signo of [SIGUSR2, COMMAND]) {
    const before = state(signo);
    t.notOk(before.blocked);
    t.equal(hasSignal('SigIgn', signo), false);
    const source = loop.signal(signo);
    t.strictSame(state(signo), before, 'a source without a subscription does nothing');
    const first = source.subscribe();
    const second = source.subscribe();
    t.strictSame(state(signo), { blocked: true, caught: true });
    first.unsubscribe();
    t.strictSame(state(signo), { blocked: true, caught: true });
    second.unsubscribe();
    t.strictSame(state(signo), before);
  }
  t.end();
});

t.test('a signal that was blocked before is blocked afterwards', (t) => {
  using loop = new EventLoop();
  setBlocked(COMMAND, true);
  loop.signal(COMMAND).subscribe().unsubscribe();
  t.strictSame(state(COMMAND), { blocked: true, caught: false });
  setBlocked(COMMAND, false);
  t.end();
});

t.test(
  'what came before the end of the last subscription ends with it, and does nothing to the process',
  leavingNothing((t) => {
    using loop = new EventLoop();
    const subscription = loop.signal(COMMAND).subscribe(() => t.fail('not subscribed to'));
    t.equal(tgkill(SYS_TGKILL, process.pid, process.pid, COMMAND), 0);
    t.ok(hasSignal('SigPnd', COMMAND));
    subscription.unsubscribe();
    t.notOk(hasSignal('SigPnd', COMMAND));
    t.notOk(hasSignal('SigBlk', COMMAND));
  }),
);

t.test(
  'can be subscribed to again later',
  onLoop(async (t, loop) => {
    for (let round = 0; round < 20; round++) {
      const signal = firstValueFrom(loop.signal(COMMAND));
      sigqueue(process.pid, COMMAND, round);
      t.equal((await signal).value, round);
    }
    t.strictSame(state(COMMAND), { blocked: false, caught: false });
  }),
);

t.test(
  'signals that cannot be caught are an error, EINVAL, that leaves nothing behind',
  onLoop(async (t, loop) => {
    for (const signal of ['SIGKILL', 'SIGSTOP', 32] as const) {
      await t.rejects(firstValueFrom(loop.signal(signal)), { name: 'SystemError', code: 'EINVAL' });
    }
    t.notOk(hasSignal('SigBlk', 9));
  }),
);

t.test('what is no signal is refused at once', (t) => {
  using loop = new EventLoop();
  for (const signal of [0, 65, -1, 1.5, 'SIGRTMIN+31', 'SIGRTMAX-31'] as const) {
    t.throws(() => loop.signal(signal), { name: 'RangeError' });
  }
  // @ts-expect-error a name that signal(7) does not have
  t.throws(() => loop.signal('SIGFOO'), { name: 'RangeError', message: /SIGFOO/ });
  t.end();
});

t.test(
  'two loops that listen to one signal both get each, whichever looks first, until the last one leaves',
  onLoop(async (t, loop) => {
    using other = new EventLoop();
    const finished = other.run();
    const trace: string[] = [];
    const one = loop.signal(COMMAND).subscribe(({ value }) => trace.push(`one ${value}`));
    other.signal(COMMAND).subscribe(({ value }) => trace.push(`other ${value}`));
    for (let value = 1; value <= 100; value++) sigqueue(process.pid, COMMAND, value);
    await until(() => trace.length >= 200);
    t.strictSame(new Set(trace).size, 200);
    one.unsubscribe();
    sigqueue(process.pid, COMMAND, 0);
    await until(() => trace.length > 200);
    t.strictSame(trace.slice(200), ['other 0']);
    t.strictSame(state(COMMAND), { blocked: true, caught: true });
    other.exit();
    await finished;
    t.strictSame(state(COMMAND), { blocked: false, caught: false });
  }),
);

t.test('is an error in a worker thread, EOPNOTSUPP', async (t) => {
  const code = `import('${import.meta.resolve('@sdrx/event')}').then(({ EventLoop }) => {
    const loop = new EventLoop();
    const post = (value) => require('node:worker_threads').parentPort.postMessage(value);
    loop.signal('SIGRTMIN+18').subscribe({ error: ({ code }) => post(code), next: () => post('next') });
    loop[Symbol.dispose]();
  })`;
  const worker = new Worker(code, { eval: true });
  t.equal(await new Promise((resolve) => worker.once('message', resolve)), 'EOPNOTSUPP');
  await worker.terminate();
  t.strictSame(state(COMMAND), { blocked: false, caught: false });
});

t.test(
  "Node's own listeners of other signals go on",
  onLoop(async (t, loop) => {
    const own = new Promise((resolve) => process.once('SIGHUP', resolve));
    const signal = firstValueFrom(loop.signal('SIGUSR2'));
    process.kill(process.pid, 'SIGHUP');
    t.equal(await own, 'SIGHUP');
    process.kill(process.pid, 'SIGUSR2');
    t.equal((await signal).signo, SIGUSR2);
  }),
);

t.test(
  "a listener of Node's for the same signal rests meanwhile, and works again afterwards",
  onLoop(async (t, loop) => {
    let own = 0;
    const listener = (): void => {
      own++;
    };
    process.on('SIGUSR2', listener);
    const signal = firstValueFrom(loop.signal('SIGUSR2'));
    process.kill(process.pid, 'SIGUSR2');
    await signal;
    t.equal(own, 0);
    process.kill(process.pid, 'SIGUSR2');
    await until(() => own === 1);
    process.off('SIGUSR2', listener);
  }),
);

t.test(
  'a program that is started meanwhile has the signal at its default action',
  onLoop((t, loop) => {
    const subscription = loop.signal('SIGUSR2').subscribe(() => t.fail('it was for the child'));
    const child = spawn('sh', { args: ['-c', 'kill -USR2 $$; exit 0'] });
    t.match(waitForExit(child), { code: 'killed', status: SIGUSR2 });
    subscription.unsubscribe();
  }),
);

t.test(
  'one on its way through another thread of Node does not meet its former action when the last subscription ends',
  (t) => {
    const program = programPath('./programs/signals-in-flight.js', import.meta.url);
    // Without care it kills every second one.
    for (let round = 0; round < 8; round++) t.match(runNode([program]).exit, { code: 'exited', status: 0 });
    t.end();
  },
);
