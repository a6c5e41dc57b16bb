import { exitOnSignal, idle } from '@sdrx/event';
import { type Marble, marbles, play, record, VirtualLoop } from '@sdrx/event/testing';
import fc from 'fast-check';
import { concat, map, NEVER, of, scan, take, tap, throwError } from 'rxjs';
import t from 'tap';

/** What `program` brings in a loop that has so many milliseconds. */
async function recorded<T>(
  milliseconds: number,
  program: (loop: VirtualLoop) => Parameters<typeof record<T>>[1],
): Promise<readonly Marble<T>[]> {
  using loop = new VirtualLoop();
  const marbles = record(loop, program(loop));
  const finished = loop.run();
  await loop.advance(milliseconds);
  loop.exit();
  await loop.finish();
  await finished;
  return marbles;
}

t.test('a diagram is read as RxJS reads it', (t) => {
  t.strictSame(marbles('-a 8ms b|', { a: 1, b: 2 }), [
    { at: 1, kind: 'next', value: 1 },
    { at: 10, kind: 'next', value: 2 },
    { at: 11, kind: 'complete' },
  ]);
  t.strictSame(marbles('(ab) 1s #'), [
    { at: 0, kind: 'next', value: 'a' },
    { at: 0, kind: 'next', value: 'b' },
    { at: 1004, kind: 'error', error: 'error' },
  ]);
  t.strictSame(marbles('1m #', {}, 5), [{ at: 60_000, kind: 'error', error: 5 }]);
  t.strictSame(marbles(''), []);
  t.end();
});

t.test('what is no diagram is refused, by an error that shows it', (t) => {
  for (const diagram of ['a^b', 'a!', '(a', 'a)', '((a))']) {
    t.throws(() => marbles(diagram), { name: 'TypeError', message: `not '${diagram}'` }, diagram);
  }
  t.throws(() => marbles('a', { b: 1 }), { name: 'TypeError', message: /no value for 'a'/ });
  t.throws(() => marbles('constructor', {}), { name: 'TypeError', message: /no value for 'c'/ });
  t.throws(() => marbles(5 as unknown as string), { name: 'TypeError', message: /diagram/ });
  t.throws(() => marbles('a', 5 as unknown as Record<string, string>), { name: 'TypeError', message: /values/ });
  using loop = new VirtualLoop();
  t.throws(() => play(loop, 'a^'), { name: 'TypeError' });
  t.throws(() => play({} as VirtualLoop, 'a'), { name: 'TypeError', message: /loop/ });
  t.throws(() => record({} as VirtualLoop, NEVER), { name: 'TypeError', message: /loop/ });
  t.throws(() => record(loop, 5 as unknown as typeof NEVER), { name: 'TypeError', message: /observable/ });
  t.end();
});

t.test('what is played comes at its time, to everyone from his own begin', async (t) => {
  const diagram = '10ms a 4ms (bc) 96ms #';
  const values = { a: 'x', b: 'y', c: 'z' };
  t.strictSame(await recorded(200, (loop) => play(loop, diagram, values, 'why')), marbles(diagram, values, 'why'));

  using loop = new VirtualLoop();
  const finished = loop.run();
  const source = play(loop, '-a|');
  const first = record(loop, source);
  await loop.advance(50);
  const second = record(loop, source);
  await loop.advance(50);
  t.strictSame([first, second], [marbles('-a|'), marbles('-a|')]);
  loop.exit();
  await loop.finish();
  await finished;
});

t.test('what is played ends with the loop', async (t) => {
  const ended = await recorded(10, (loop) => play(loop, '--a 1m b'));
  t.strictSame(ended, marbles('--a 7ms |'));
});

t.test('whatever is played is recorded as it was', async (t) => {
  const part = fc.oneof(
    fc.constantFrom('a', 'b', '-', '(ab)', ' 7ms ', ' 2s ', '(a)'),
    fc.nat({ max: 99 }).map((time) => ` ${time}ms `),
  );
  const diagrams = fc
    .tuple(fc.array(part, { maxLength: 12 }), fc.constantFrom('', '|', '#', '(a|)', '(b#)'))
    .map(([parts, end]) => parts.join('') + end);
  await t.resolves(
    fc.assert(
      fc.asyncProperty(diagrams, async (diagram) => {
        const ends = /[|#]/.test(diagram);
        const end = ends ? [] : [{ at: 60_000, kind: 'complete' }];
        t.strictSame(await recorded(60_000, (loop) => play(loop, diagram)), [...marbles(diagram), ...end], diagram);
      }),
      { numRuns: 50 },
    ),
  );
});

t.test('an Observable that does without the loop is recorded, too', async (t) => {
  t.strictSame(await recorded(1, () => of(1, 2)), marbles('(12|)', { 1: 1, 2: 2 }));
  t.strictSame(
    await recorded(1, () =>
      concat(
        of(1),
        throwError(() => 'no'),
      ),
    ),
    marbles('(1#)', { 1: 1 }, 'no'),
  );
});

t.test('a timer of the loop, with its limit, as a diagram', async (t) => {
  const ticks = (loop: VirtualLoop) =>
    loop.time({ every: 10, accuracy: 0 }).pipe(
      map(() => 't'),
      take(3),
    );
  t.strictSame(await recorded(100, ticks), marbles('10ms t 9ms t 9ms (t|)'));
});

t.test('a program: signals are played to it, and it counts them until it ends', async (t) => {
  using loop = new VirtualLoop();
  const counted = loop.signal('SIGUSR1').pipe(scan((count) => count + 1, 0));
  const counts = record(loop, counted);
  play(loop, '1s u 499ms (uu) 496ms t', { u: 'SIGUSR1', t: 'SIGTERM' }).subscribe((signal) => loop.send(signal));
  const finished = loop.run(exitOnSignal(loop));
  await loop.finish();
  t.equal(await finished, 0);
  t.strictSame(counts, marbles('1s 1 499ms (23) 496ms |', { 1: 1, 2: 2, 3: 3 }));
});

t.test('work that is played puts off the idle exit', async (t) => {
  using loop = new VirtualLoop();
  const work = play(loop, '30s b 29s e 999ms b 5m e', { b: 1, e: 0 });
  const exit = idle(loop, [work], { after: 60_000, minimumUptime: 0 }).pipe(
    map(() => 'x'),
    tap(() => loop.exit()),
  );
  const exits = record(loop, exit);
  const finished = loop.run();
  await loop.finish();
  t.equal(await finished, 0);
  // A minute after the last work has ended, which was there for five.
  t.strictSame(exits, marbles('360002ms 60s (x|)'));
});
