import { readdirSync, readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import {
  blockInOtherThreads,
  forwardToMainThread,
  SIGRTMIN,
  SignalFd,
  type SignalInfo,
  setBlocked,
  signalNumber,
  sigqueue,
  spawn,
} from '@sdrx/linux';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { programPath } from '../support/program-path.js';
import { signalMask } from '../support/signal-status.js';
import { waitForExit } from '../support/wait-for-exit.js';

/** How many threads do not block a signal. */
function unblocked(signo: number): number {
  return readdirSync('/proc/self/task').filter((thread) => {
    const status = readFileSync(`/proc/self/task/${thread}/status`, 'ascii');
    return ((signalMask('SigBlk', status) >> BigInt(signo - 1)) & 1n) === 0n;
  }).length;
}

/** Receives a signal while `body` runs, without asking the other threads to block it. */
function receiving(signo: number, body: (signals: SignalFd) => void): void {
  setBlocked(signo, true);
  const restore = forwardToMainThread(signo);
  using signals = new SignalFd(signo);
  try {
    body(signals);
  } finally {
    restore();
    while (signals.read().length > 0);
    setBlocked(signo, false);
  }
}

/** All that comes, until there are `count` or it takes too long: one may be on its way through another thread. */
function take(signals: SignalFd, count: number): SignalInfo[] {
  const received: SignalInfo[] = [];
  for (const end = performance.now() + 10_000; received.length < count && performance.now() < end; )
    received.push(...signals.read());
  return [...received, ...signals.read()];
}

t.test(
  'every thread blocks the signal, at once, and the main thread sees nothing of what they are asked by',
  leavingNothing((t) => {
    for (const signo of [SIGRTMIN + 21, signalNumber('SIGSTKFLT')]) {
      receiving(signo, (signals) => {
        t.ok(unblocked(signo) >= 1);
        blockInOtherThreads(signo);
        t.equal(unblocked(signo), 0);
        t.strictSame(signals.read(), []);
      });
    }
  }),
);

t.test(
  'a standard signal, of which only one can be pending, is not lost in it',
  leavingNothing((t) => {
    const signo = signalNumber('SIGPWR');
    receiving(signo, (signals) => {
      t.ok(unblocked(signo) >= 1);
      process.kill(process.pid, signo);
      blockInOtherThreads(signo);
      t.match(take(signals, 1), [{ signo, code: 0, pid: process.pid }]);
      t.equal(unblocked(signo), 0);
    });
  }),
);

t.test(
  'what was sent before is there, once, and soon',
  leavingNothing((t) => {
    // Each with threads that never blocked it; some take one just before they are asked.
    for (let signo = SIGRTMIN + 22; signo < SIGRTMIN + 28; signo++) {
      receiving(signo, (signals) => {
        const values = Array.from({ length: 100 }, (_, value) => value);
        for (const value of values) sigqueue(process.pid, signo, value);
        blockInOtherThreads(signo);
        t.equal(unblocked(signo), 0);
        const received = take(signals, values.length);
        t.strictSame(new Set(received.map(({ value }) => value)), new Set(values));
        t.equal(received.length, values.length);
      });
    }
  }),
);

t.test(
  'the same signal from another process is not taken for the request',
  leavingNothing((t) => {
    const signo = SIGRTMIN + 28;
    receiving(signo, (signals) => {
      const program = programPath('./programs/queue-request.js', import.meta.url);
      const sender = spawn(process.execPath, {
        args: [program, String(process.pid), String(signo)],
      });
      t.match(waitForExit(sender), { code: 'exited', status: 0 });
      t.match(take(signals, 1), [{ signo, code: -60, pid: sender.pid }]);
    });
  }),
);

t.test(
  'threads that are started later block it as well',
  leavingNothing(async (t) => {
    const signo = SIGRTMIN + 20;
    const worker = await new Promise<Worker>((resolve, reject) => {
      receiving(signo, () => {
        blockInOtherThreads(signo);
        const started = new Worker('setInterval(() => {}, 1e6)', { eval: true });
        started.once('online', () => resolve(started)).once('error', reject);
        t.equal(unblocked(signo), 0);
      });
    });
    await worker.terminate();
  }),
);
