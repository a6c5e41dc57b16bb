import { EventLoop, exitOnSignal } from '@sdrx/event';
import { type SignalInfo, signalNumber } from '@sdrx/linux';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { hasSignal } from '../support/signal-status.js';
import { until } from '../support/until.js';

t.test(
  'SIGTERM and SIGINT end the loop with 0, and say who sent them',
  leavingNothing(async (t) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      using loop = new EventLoop();
      const received: SignalInfo[] = [];
      exitOnSignal(loop).subscribe((info) => received.push(info));
      const finished = loop.run();
      process.kill(process.pid, signal);
      t.equal(await finished, 0);
      t.match(received, [{ signo: signalNumber(signal), pid: process.pid }]);
    }
  }),
);

t.test(
  'other signals end it when they are given, and then only those',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    let terminations = 0;
    const listener = (): void => {
      terminations++;
    };
    process.on('SIGTERM', listener);
    let exits = 0;
    loop.exiting().subscribe(() => exits++);
    const finished = loop.run(exitOnSignal(loop, ['SIGUSR2', 'SIGRTMIN+1']));
    process.kill(process.pid, 'SIGTERM');
    await until(() => terminations === 1);
    t.equal(exits, 0);
    process.kill(process.pid, 'SIGUSR2');
    t.equal(await finished, 0);
    t.equal(exits, 1);
    process.off('SIGTERM', listener);
    t.notOk(hasSignal('SigBlk', signalNumber('SIGUSR2')));
  }),
);

t.test(
  'the priority given decides who is still heard',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    let heard = 0;
    loop.signal('SIGTERM').subscribe(() => heard++);
    const finished = loop.run(exitOnSignal(loop, ['SIGTERM'], { priority: 1 }));
    process.kill(process.pid, 'SIGTERM');
    await finished;
    t.equal(heard, 1);
  }),
);
