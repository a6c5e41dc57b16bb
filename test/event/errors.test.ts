import { EventLoop } from '@sdrx/event';
import { eventfd } from '@sdrx/linux';
import { map, Subject, share } from 'rxjs';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { iterations, onLoop } from './on-loop.js';
import { runNode } from './run-node.js';

/** What the program in `programs/throw-error.ts` prints. */
interface Outcome {
  readonly uncaught: readonly string[];
  /** How often the handler that threw was called. */
  readonly thrower: number;
  /** Whether another source went on afterwards. */
  readonly others: boolean;
  readonly code: number;
}

const ways = {
  next: 'an error thrown by an observer',
  observer: 'an error thrown by the `next` of an observer object',
  pipe: 'an error thrown in an operator, which nobody handles',
  piped: 'an error thrown by an observer behind operators',
  shared: 'an error thrown by an observer of a shared source',
  subscribe: 'an error of a subscription that nobody handles',
  error: 'an error thrown while handling an error',
  complete: 'an error thrown at completion',
  once: 'an error thrown by the observer of a source that comes once',
};

for (const [way, name] of Object.entries(ways)) {
  t.test(`${name} surfaces as an uncaughtException, ends that source, and leaves the others`, (t) => {
    const { output, exit } = runNode('throw-error', [way]);
    const { uncaught, thrower, others, code } = JSON.parse(output) as Outcome;
    t.strictSame(uncaught, [way === 'subscribe' ? 'EBADF' : `thrown by ${way}`]);
    t.equal(thrower, way === 'subscribe' ? 0 : 1);
    t.ok(others);
    t.equal(code, 5);
    t.match(exit, { code: 'exited', status: 0 });
    t.end();
  });
}

t.test('an error that nobody catches ends the process', (t) => {
  const { output, exit } = runNode('throw-error', ['next', 'uncaught'], { fds: [null, null, null] });
  t.equal(output, '');
  t.match(exit, { code: 'exited', status: 1 });
  t.end();
});

t.test(
  'with `exitOnFailure` an error ends the loop with 1, or the code given',
  leavingNothing(async (t) => {
    for (const [exitOnFailure, code] of [[true, 1] as const, [0, 0] as const, [42, 42] as const]) {
      using loop = new EventLoop();
      let exits = 0;
      loop.exiting().subscribe(() => exits++);
      loop.defer({ exitOnFailure }).subscribe(() => {
        throw new Error('failed');
      });
      t.equal(await loop.run(), code);
      t.equal(exits, 1);
    }
  }),
);

t.test(
  'with `exitOnFailure` so does one in an operator, one that nobody handles, and one of the source itself',
  leavingNothing(async (t) => {
    const fail = (): never => {
      throw new Error('failed');
    };
    const options = { exitOnFailure: 7 };
    const programs: readonly ((loop: EventLoop) => unknown)[] = [
      (loop) => loop.defer(options).pipe(map(fail)).subscribe(),
      (loop) => loop.defer(options).pipe(map(fail)).subscribe({ next: fail }),
      (loop) => loop.defer(options).pipe(map(String), share()).subscribe(fail),
      (loop) => loop.defer(options).subscribe({ complete: fail }),
      (loop) => loop.io(-1, options).subscribe(),
      (loop) => loop.io(-1, options).subscribe({ error: fail }),
      (loop) => loop.time({ after: 1, ...options }).subscribe(fail),
    ];
    for (const program of programs) {
      using loop = new EventLoop();
      program(loop);
      t.equal(await loop.run(), 7);
    }
  }),
);

t.test(
  'with `exitOnFailure` an error that somebody handles ends nothing but its source',
  onLoop(async (t, loop) => {
    using ready = eventfd(1);
    const errors: unknown[] = [];
    const failure = new Error('failed');
    loop
      .defer({ exitOnFailure: 7 })
      .pipe(
        map(() => {
          throw failure;
        }),
      )
      .subscribe({ error: (error) => errors.push(error) });
    await iterations(loop, ready.number, 5);
    t.strictSame(errors, [failure]);
    t.equal(loop.state, 'armed');
  }),
);

t.test(
  'a Subject can be subscribed, and passes on values, errors and completion',
  onLoop(async (t, loop) => {
    const trace: string[] = [];
    const follow = (name: string): Subject<unknown> => {
      const subject = new Subject<unknown>();
      subject.subscribe({
        next: () => trace.push(`${name} next`),
        error: () => trace.push(`${name} error`),
        complete: () => trace.push(`${name} complete`),
      });
      return subject;
    };
    loop.io(-1).subscribe(follow('io'));
    await new Promise<void>((resolve) => {
      loop.defer().subscribe(follow('defer'));
      loop.defer().subscribe({ complete: resolve });
    });
    t.strictSame(trace, ['io error', 'defer next', 'defer complete']);
  }),
);
