import { readdirSync, readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import {
  forwardToMainThread,
  isMainThread,
  libc,
  now,
  originalCode,
  SIGRTMIN,
  type SignalInfo,
  setBlocked,
  signalNumber,
  spawn,
} from '@sdrx/linux';
import fc from 'fast-check';
import t from 'tap';
import { disassembleArm64 } from '../support/disassemble-arm64.js';
import { leavingNothing } from '../support/nothing-left.js';
import { programPath } from '../support/program-path.js';
import { ReceivedSignals } from '../support/received-signals.js';
import { runNode } from '../support/run-node.js';
import { hasSignal, signalMask } from '../support/signal-status.js';
import { waitForExit } from '../support/wait-for-exit.js';

const SIGUSR1 = signalNumber('SIGUSR1');
const SIGUSR2 = signalNumber('SIGUSR2');
const SIGALRM = signalNumber('SIGALRM');
const SIGCHLD = signalNumber('SIGCHLD');
const SIGPIPE = signalNumber('SIGPIPE');
const COMMAND = SIGRTMIN + 18;
const SI_KERNEL = 0x80;
const CLD_EXITED = 1;

const uid = process.getuid?.() ?? -1;
const tgkill = libc<(number: number, tgid: number, tid: number, signo: number) => number>(
  'long syscall(long, long, long, long)',
);
const SYS_TGKILL = process.arch === 'arm64' ? 131 : 234;
const ualarm = libc<(microseconds: number, interval: number) => number>('uint ualarm(uint, uint)');

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

/** Makes V8's threads work: garbage for the scavenger and the concurrent marker, functions for the compilers. */
function keepV8Busy(): void {
  const kept = Array.from({ length: 2000 }, (_, index) => ({ index, text: `${index}`.repeat(20), list: [index] }));
  const sum = new Function('kept', `let s = ${kept.length}; for (const k of kept) s += k.list[0]; return s;`);
  for (let round = 0; round < 30; round++) sum(kept);
}

/** The threads of this process but the main one that do not block a signal. */
function otherThreads(signo: number): number[] {
  return readdirSync('/proc/self/task')
    .map(Number)
    .filter((tid) => tid !== process.pid && !threadBlocks(tid, signo));
}

function threadBlocks(tid: number, signo: number): boolean {
  const mask = signalMask('SigBlk', readFileSync(`/proc/self/task/${tid}/status`, 'ascii'));
  return ((mask >> BigInt(signo - 1)) & 1n) === 1n;
}

t.test(
  '20,000 queued signals are received each exactly once, with sender and value, while V8 is busy',
  leavingNothing(async (t) => {
    using signals = new ReceivedSignals(COMMAND);
    const program = programPath('./programs/queue-signals.js', import.meta.url);
    using first = spawn(process.execPath, { args: [program, String(process.pid), '0', '10000'] });
    using second = spawn(process.execPath, {
      args: [program, String(process.pid), '10000', '10000'],
    });
    const received: SignalInfo[] = [];
    const deadline = now() + 60_000;
    while (received.length < 20_000 && now() < deadline) {
      keepV8Busy();
      await nextTurn();
      for (let batch = signals.read(); batch.length > 0; batch = signals.read()) received.push(...batch);
    }
    t.match(waitForExit(first), { code: 'exited', status: 0 });
    t.match(waitForExit(second), { code: 'exited', status: 0 });
    t.strictSame(signals.read(), []);
    t.equal(new Set(received.map(({ value }) => value)).size, 20_000);
    const odd = received.filter(
      ({ signo, code, pid, uid: sender, value }) =>
        signo !== COMMAND || code !== -1 || sender !== uid || pid !== (value < 10_000 ? first : second).pid,
    );
    t.strictSame(odd, []);
  }),
);

t.test(
  'a signal of kill(2) is received, with the code of kill(2) and its sender',
  leavingNothing(async (t) => {
    using signals = new ReceivedSignals(SIGUSR2);
    for (let round = 0; round < 20; round++) {
      const kill = spawn('sh', { args: ['-c', `exec /bin/kill -USR2 ${process.pid}`] });
      t.strictSame(await signals.take(1), [{ signo: SIGUSR2, code: 0, pid: kill.pid, uid, value: 0 }]);
      waitForExit(kill);
    }
  }),
);

t.test(
  'a signal that this process sends itself is received',
  leavingNothing(async (t) => {
    using signals = new ReceivedSignals(SIGUSR2);
    process.kill(process.pid, 'SIGUSR2');
    t.strictSame(await signals.take(1), [{ signo: SIGUSR2, code: 0, pid: process.pid, uid, value: 0 }]);
  }),
);

t.test(
  'a signal of the kernel is received, and has no sender',
  leavingNothing(async (t) => {
    using signals = new ReceivedSignals(SIGALRM);
    ualarm(1000, 0);
    t.strictSame(await signals.take(1), [{ signo: SIGALRM, code: SI_KERNEL, pid: 0, uid: 0, value: 0 }]);
  }),
);

t.test(
  'SIGCHLD is received with the child that it tells of',
  leavingNothing(async (t) => {
    using signals = new ReceivedSignals(SIGCHLD);
    const child = spawn('true');
    t.strictSame(await signals.take(1), [{ signo: SIGCHLD, code: CLD_EXITED, pid: child.pid, uid, value: 0 }]);
    waitForExit(child);
  }),
);

/** One that no other test has made the threads block. */
const FRESH = SIGRTMIN + 9;

t.test(
  'each of the other threads hands a signal that it is sent on, and blocks it from then on',
  leavingNothing(async (t) => {
    using signals = new ReceivedSignals(FRESH);
    const threads = otherThreads(FRESH);
    t.ok(threads.length >= 1, `${threads.length} threads`);
    for (const tid of threads) {
      t.equal(tgkill(SYS_TGKILL, process.pid, tid, FRESH), 0);
      t.strictSame(await signals.take(1), [{ signo: FRESH, code: -6, pid: process.pid, uid, value: 0 }]);
    }
    t.strictSame(otherThreads(FRESH), []);
  }),
);

t.test(
  'several signals are forwarded at once, each to its own receiver',
  leavingNothing(async (t) => {
    using ones = new ReceivedSignals(SIGUSR1);
    using twos = new ReceivedSignals(SIGUSR2);
    process.kill(process.pid, 'SIGUSR2');
    process.kill(process.pid, 'SIGUSR1');
    t.strictSame(
      [...(await ones.take(1)), ...(await twos.take(1))].map(({ signo }) => signo),
      [SIGUSR1, SIGUSR2],
    );
  }),
);

t.test('the disposition is put back afterwards: default, ignored, or a handler', (t) => {
  const before = { caught: hasSignal('SigCgt', COMMAND), ignored: hasSignal('SigIgn', COMMAND) };
  t.strictSame(before, { caught: false, ignored: false });
  setBlocked(COMMAND, true);
  const restore = forwardToMainThread(COMMAND);
  t.ok(hasSignal('SigCgt', COMMAND));
  restore();
  setBlocked(COMMAND, false);
  t.strictSame({ caught: hasSignal('SigCgt', COMMAND), ignored: hasSignal('SigIgn', COMMAND) }, before);

  t.ok(hasSignal('SigIgn', SIGPIPE), 'Node ignores SIGPIPE');
  const restorePipe = forwardToMainThread(SIGPIPE);
  t.notOk(hasSignal('SigIgn', SIGPIPE));
  restorePipe();
  t.ok(hasSignal('SigIgn', SIGPIPE));
  t.end();
});

t.test("a handler of Node's works again afterwards", async (t) => {
  // A handler does not keep Node alive while it waits for its signal.
  const alive = setInterval(() => {}, 1000);
  const received = new Promise((resolve) => process.once('SIGUSR2', resolve));
  new ReceivedSignals(SIGUSR2)[Symbol.dispose]();
  process.kill(process.pid, 'SIGUSR2');
  t.equal(await received, 'SIGUSR2');
  clearInterval(alive);
});

t.test('a program that is started meanwhile does not inherit the handler', (t) => {
  using signals = new ReceivedSignals(SIGUSR2);
  const child = spawn('sleep', { args: ['1000'] });
  child.kill('SIGUSR2');
  t.strictSame(waitForExit(child), { pid: child.pid, code: 'killed', status: SIGUSR2 });
  t.strictSame(signals.read(), []);
  t.end();
});

t.test('a signal that cannot be caught throws EINVAL', (t) => {
  for (const signo of [9, 19]) {
    t.throws(() => forwardToMainThread(signo), { code: 'EINVAL', syscall: 'sigaction', subject: String(signo) });
  }
  t.end();
});

t.test('the original code is the one of the signal, or what the forwarder put into the error number', (t) => {
  fc.assert(
    fc.property(fc.integer(), fc.integer(), (code, errno) => {
      fc.pre(code !== -60);
      t.equal(originalCode(code, errno), code, 'not forwarded');
      t.equal(originalCode(-60, errno), errno, 'forwarded');
    }),
  );
  t.end();
});

t.test('only the main thread is the main thread', async (t) => {
  t.ok(isMainThread());
  const url = import.meta.resolve('@sdrx/linux');
  const code = `import('${url}').then((linux) => require('node:worker_threads').parentPort.postMessage(linux.isMainThread()))`;
  const worker = new Worker(code, { eval: true });
  t.equal(await new Promise((resolve) => worker.once('message', resolve)), false);
  await worker.terminate();
});

t.test(
  'the machine code for arm64 adds to the mask, and unless that is all, moves the code and does the system call',
  (t) => {
    const { output } = runNode([programPath('./programs/arm64-forwarder.js', import.meta.url)]);
    const { pid, code } = JSON.parse(output);
    const [low, high] = [pid & 0xffff, pid >>> 16];
    t.strictSame(disassembleArm64(Buffer.from(code, 'hex')), [
      // void handler(int signo: w0, siginfo_t *info: x1, ucontext_t *context: x2), of which 40 is the mask
      'sub w4, w0, #1',
      'mov x5, #1',
      'lsl x5, x5, x4',
      'ldr x4, [x2, #40]',
      'orr x4, x4, x5',
      'str x4, [x2, #40]',
      'orr w2, wzr, w0',
      `mov w0, #${low}`,
      `movk w0, #${high}, lsl #16`,
      // si_code is at 8, si_errno at 4, si_pid at 16
      'ldr w4, [x1, #8]',
      'cmn w4, #60',
      'b.ne 0x3c',
      'ldr w5, [x1, #16]',
      'cmp w5, w0',
      'b.eq 0x5c',
      'str w4, [x1, #4]',
      'mov w4, #-60',
      'str w4, [x1, #8]',
      // rt_tgsigqueueinfo(tgid, tid, signo, info)
      'orr x3, xzr, x1',
      `mov w1, #${low}`,
      `movk w1, #${high}, lsl #16`,
      'mov x8, #240',
      'svc #0',
      'ret',
      // What is left of the page.
      '0x0',
      '0x0',
    ]);
    t.end();
  },
);
