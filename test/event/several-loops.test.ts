import { EventLoop } from '@sdrx/event';
import { EventFd, sigqueue } from '@sdrx/linux';
import { firstValueFrom } from 'rxjs';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { until } from '../support/until.js';

const SIGNAL = 'SIGRTMIN+11';

t.test(
  'one may exit another from a handler; that one runs its exit sources, the first goes on',
  leavingNothing(async (t) => {
    using first = new EventLoop();
    using second = new EventLoop();
    const trace: string[] = [];
    second.exiting().subscribe(() => trace.push(`second: ${second.state}, first: ${first.state}`));
    second.time({ after: 3_600_000 }).subscribe({ complete: () => trace.push('its timer completed') });
    first.defer().subscribe(() => second.exit(7));
    const finished = [first.run(), second.run()];
    t.equal(await finished[1], 7);
    await firstValueFrom(first.time({ after: 1 }));
    first.exit(8);
    t.equal(await finished[0], 8);
    t.strictSame(trace, ['second: exiting, first: armed', 'its timer completed']);
  }),
);

t.test(
  'two that exit each other in their handlers both end',
  leavingNothing(async (t) => {
    using first = new EventLoop();
    using second = new EventLoop();
    first.defer().subscribe(() => second.exit(2));
    second.defer().subscribe(() => first.exit(1));
    // Whichever comes first, the other one's handler may not come any more.
    first.exiting().subscribe(() => second.exit(2));
    second.exiting().subscribe(() => first.exit(1));
    t.strictSame(await Promise.all([first.run(), second.run()]), [1, 2]);
  }),
);

t.test(
  'one may dispose of another in a handler, and of itself',
  leavingNothing(async (t) => {
    const first = new EventLoop();
    const second = new EventLoop();
    using event = new EventFd(1);
    const trace: string[] = [];
    for (const [name, loop] of Object.entries({ first, second })) {
      loop.io(event.fd).subscribe({ complete: () => trace.push(`${name} completed`) });
      loop.exiting().subscribe(() => t.fail(`${name} exits`));
    }
    const finished = [first.run(), second.run()];
    first.defer({ priority: -1 }).subscribe(() => {
      second[Symbol.dispose]();
      trace.push(`second ${second.state}, first ${first.state}`);
    });
    t.equal(await finished[1], 0);
    using third = new EventLoop();
    const last = third.run();
    third.defer().subscribe(() => {
      first[Symbol.dispose]();
      third[Symbol.dispose]();
      trace.push(`first ${first.state}, third ${third.state}`);
    });
    t.strictSame(await Promise.all([finished[0], last]), [0, 0]);
    t.strictSame(trace, [
      'second completed',
      'second finished, first running',
      'first completed',
      'first finished, third finished',
    ]);
  }),
);

t.test(
  'one that is disposed of while its sources are pending dispatches none of them',
  leavingNothing(async (t) => {
    using first = new EventLoop();
    const second = new EventLoop();
    let completed = 0;
    for (let index = 0; index < 100; index++) {
      second.defer().subscribe({ next: () => t.fail('disposed of'), complete: () => completed++ });
    }
    // The first one's turn comes before.
    const finished = [first.run(), second.run()];
    first.defer().subscribe(() => {
      second[Symbol.dispose]();
      first.exit();
    });
    await Promise.all(finished);
    t.equal(completed, 100);
  }),
);

t.test(
  'all that listen to a signal get it; one that ends leaves it to the others',
  leavingNothing(async (t) => {
    const loops = Array.from({ length: 4 }, () => new EventLoop());
    const values: number[][] = loops.map(() => []);
    loops.forEach((loop, index) => {
      loop.signal(SIGNAL).subscribe(({ value }) => values[index]?.push(value));
    });
    const finished = loops.map((loop) => loop.run());
    const expected: number[][] = loops.map(() => []);
    for (const [round, loop] of loops.entries()) {
      sigqueue(process.pid, SIGNAL, round);
      for (const list of expected.slice(round)) list.push(round);
      await until(() => values.flat().length === expected.flat().length);
      // One way and the other.
      if (round % 2 === 0) loop.exit(round);
      else loop[Symbol.dispose]();
      await finished[round];
    }
    t.strictSame(values, expected);
  }),
);

t.test(
  'one that finishes in the handler of a signal does not keep it from the others',
  leavingNothing(async (t) => {
    using first = new EventLoop();
    using second = new EventLoop();
    const codes = [first, second].map((loop) => {
      let came = 0;
      loop.signal(SIGNAL).subscribe(() => loop.exit(++came));
      return loop.run();
    });
    sigqueue(process.pid, SIGNAL, 0);
    t.strictSame(await Promise.all(codes), [1, 1]);
  }),
);

t.test(
  'one that finishes leaves the descriptors that others watch',
  leavingNothing(async (t) => {
    using event = new EventFd();
    const loops = Array.from({ length: 3 }, () => new EventLoop());
    const counts = loops.map(() => 0);
    loops.forEach((loop, index) => {
      loop.io(event.fd).subscribe(() => {
        event.take();
        counts[index] = (counts[index] ?? 0) + 1;
      });
    });
    const finished = loops.map((loop) => loop.run());
    for (const loop of loops) {
      const before = counts.reduce((sum, count) => sum + count);
      event.add();
      await until(() => counts.reduce((sum, count) => sum + count) > before);
      loop.exit();
      await finished[loops.indexOf(loop)];
    }
    t.strictSame(
      loops.map(({ state }) => state),
      ['finished', 'finished', 'finished'],
    );
  }),
);

t.test(
  'one is begun, run and ended in the handlers of another, a hundred times',
  leavingNothing(async (t) => {
    using outer = new EventLoop();
    const codes: number[] = [];
    const again = (): void => {
      outer.defer().subscribe(async () => {
        using inner = new EventLoop();
        inner.time({ after: 0 }).subscribe(() => inner.exit(codes.length));
        codes.push(await inner.run());
        if (codes.length < 100) again();
        else outer.exit();
      });
    };
    again();
    await outer.run();
    t.strictSame(
      codes,
      codes.map((_, index) => index),
    );
  }),
);
