import { readdirSync, readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import {
  blockInOtherThreads,
  forwardToMainThread,
  SIGRTMIN,
  SignalFd,
  setBlocked,
  signalNumber,
  sigqueue,
} from '@sdrx/linux';
import t from 'tap';
import { leavingNoFd } from '../support/open-fds.js';
import { signalMask } from '../support/signal-status.js';

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
    while (signals.readAll().length > 0);
    setBlocked(signo, false);
  }
}

t.test(
  'every thread blocks the signal, at once, and what tells so is not seen',
  leavingNoFd((t) => {
    const signo = SIGRTMIN + 21;
    receiving(signo, (signals) => {
      t.ok(unblocked(signo) >= 1);
      t.strictSame(blockInOtherThreads(signo, signals), []);
      t.equal(unblocked(signo), 0);
      t.strictSame(signals.readAll(), []);
    });
  }),
);

t.test(
  'so it is with a standard signal, of which one at a time can be pending',
  leavingNoFd((t) => {
    const signo = signalNumber('SIGPWR');
    receiving(signo, (signals) => {
      t.ok(unblocked(signo) >= 1);
      process.kill(process.pid, signo);
      const received = blockInOtherThreads(signo, signals);
      for (let more = signals.read(); more.length > 0; more = signals.read()) received.push(...more);
      t.match(received, [{ signo, pid: process.pid }]);
      t.equal(unblocked(signo), 0);
    });
  }),
);

t.test(
  'what comes in meanwhile is returned, or there afterwards',
  leavingNoFd((t) => {
    const signo = SIGRTMIN + 22;
    receiving(signo, (signals) => {
      const values = Array.from({ length: 100 }, (_, value) => value);
      for (const value of values) sigqueue(process.pid, signo, value);
      const received = blockInOtherThreads(signo, signals);
      // One may still be on its way through a thread that took it before.
      for (const end = performance.now() + 10_000; received.length < values.length && performance.now() < end; )
        received.push(...signals.read());
      t.strictSame(new Set(received.map(({ value }) => value)), new Set(values));
      t.equal(received.length, values.length);
    });
  }),
);

t.test(
  'threads that are started later block it as well',
  leavingNoFd(async (t) => {
    const signo = SIGRTMIN + 23;
    const worker = await new Promise<Worker>((resolve, reject) => {
      receiving(signo, (signals) => {
        blockInOtherThreads(signo, signals);
        const started = new Worker('setInterval(() => {}, 1e6)', { eval: true });
        started.once('online', () => resolve(started)).once('error', reject);
        t.equal(unblocked(signo), 0);
      });
    });
    await worker.terminate();
  }),
);
