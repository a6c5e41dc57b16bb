import { once } from 'node:events';
import { EventLoop } from '@sdrx/event';
import { EventFd } from '@sdrx/linux';
import { lastValueFrom, map, repeat, Subject, Subscription, share, switchMap, take, takeUntil, toArray } from 'rxjs';
import t, { type Test } from 'tap';
import { until } from '../support/until.js';
import { iterations, onLoop } from './on-loop.js';
import { held, provokeUntil, type Specimen, specimens } from './specimens.js';

/** Runs `body` once for each kind of source. */
function forEach(name: string, body: (t: Test, loop: EventLoop, specimen: Specimen) => Promise<void>): void {
  for (const [kind, make] of Object.entries(specimens)) {
    t.test(
      `${kind}: ${name}`,
      onLoop(async (t, loop) => {
        using specimen = make();
        // What the loop keeps for all sources of a kind is there from now on.
        specimen.source(loop).subscribe().unsubscribe();
        await body(t, loop, specimen);
      }),
    );
  }
}

forEach('the subscribers of a shared one get each value together, from one subscription', async (t, loop, specimen) => {
  const before = held();
  const seen: number[][] = [[], []];
  const shared = specimen.source(loop).pipe(share());
  const first = shared.subscribe(() => seen[0]?.push(loop.iteration));
  const one = held();
  const second = shared.subscribe(() => seen[1]?.push(loop.iteration));
  t.strictSame(held(), one);
  await provokeUntil(loop, specimen, () => (seen[1]?.length ?? 0) >= 3);
  t.strictSame(seen[0], seen[1]);
  first.unsubscribe();
  t.strictSame(held().fds, one.fds, 'as long as there is one of them');
  second.unsubscribe();
  t.strictSame(held(), before);
  const third = shared.subscribe(() => seen[0]?.push(0));
  t.strictSame(held(), one, 'and again for the next one');
  await provokeUntil(loop, specimen, () => seen[0]?.at(-1) === 0);
  third.unsubscribe();
});

forEach('who unsubscribes within its own next gets nothing more', async (t, loop, specimen) => {
  const before = held();
  const source = specimen.source(loop);
  let values = 0;
  let ends = 0;
  const subscription = source.subscribe({
    next: () => {
      values++;
      subscription.unsubscribe();
    },
    complete: () => ends++,
  });
  let witnessed = 0;
  const witness = source.subscribe(() => witnessed++);
  await provokeUntil(loop, specimen, () => values > 0 && witnessed >= 5);
  witness.unsubscribe();
  t.strictSame(held(), before);
  t.strictSame([values, ends], [1, 0]);
});

forEach('one that is pending and unsubscribed by another does not come', async (t, loop, specimen) => {
  let comes = 0;
  const first = specimen.source(loop).subscribe(() => {
    comes++;
    second.unsubscribe();
  });
  const second = specimen.source(loop, { priority: 1 }).subscribe(() => t.fail('came'));
  await provokeUntil(loop, specimen, () => comes >= 3);
  first.unsubscribe();
  t.ok(second.closed);
});

forEach('may be subscribed to again within next', async (t, loop, specimen) => {
  const before = held();
  const source = specimen.source(loop);
  const all = new Subscription();
  const comes = [0, 0, 0];
  const subscribe = (depth: number): void => {
    all.add(
      source.subscribe(() => {
        comes[depth] = (comes[depth] ?? 0) + 1;
        if (comes[depth] === 1 && depth < 2) subscribe(depth + 1);
      }),
    );
  };
  subscribe(0);
  await provokeUntil(loop, specimen, () => comes.every((count) => count >= 2));
  all.unsubscribe();
  t.strictSame(held(), before);
});

forEach('repeats after each value', async (t, loop, specimen) => {
  const before = held();
  const taken = lastValueFrom(specimen.source(loop).pipe(take(1), repeat(4), toArray()));
  let length = 0;
  taken.then((values) => {
    length = values.length;
  });
  await provokeUntil(loop, specimen, () => length > 0);
  t.equal(length, 4);
  t.strictSame(held().fds, before.fds);
});

forEach('switchMap ends the one before', async (t, loop, specimen) => {
  const before = held();
  const turns = new Subject<number>();
  const seen: number[] = [];
  const subscription = turns
    .pipe(switchMap((turn) => specimen.source(loop).pipe(map(() => turn))))
    .subscribe((turn) => seen.push(turn));
  turns.next(0);
  const one = held();
  for (let turn = 1; turn <= 3; turn++) {
    await provokeUntil(loop, specimen, () => seen.at(-1) === turn - 1);
    turns.next(turn);
    t.strictSame(held().fds, one.fds);
  }
  await provokeUntil(loop, specimen, () => seen.at(-1) === 3);
  t.strictSame(seen, [...seen].sort(), 'nothing comes of one that was replaced');
  subscription.unsubscribe();
  t.strictSame(held(), before);
});

forEach('takeUntil another source of the loop that is pending, too', async (t, loop, specimen) => {
  using stop = new EventFd();
  let values = 0;
  let completed = false;
  specimen
    .source(loop, { priority: 1 })
    .pipe(takeUntil(loop.io(stop.fd, { priority: -1 })))
    .subscribe({
      next: () => values++,
      complete: () => {
        completed = true;
      },
    });
  await provokeUntil(loop, specimen, () => values > 0);
  const before = values;
  specimen.provoke(loop);
  stop.add();
  await until(() => completed);
  await iterations(loop, stop.fd, 5);
  t.equal(values, before, 'what has the higher priority ends it before it comes');
});

forEach('dispatches nothing more after exit or disposal in next, and completes', async (t, _loop, specimen) => {
  for (const end of ['exit', Symbol.dispose] as const) {
    using loop = new EventLoop();
    const trace: string[] = [];
    specimen.source(loop).subscribe({
      next: () => {
        trace.push('next');
        loop[end]();
      },
      complete: () => trace.push('complete'),
    });
    specimen
      .source(loop, { priority: 1 })
      .subscribe({ next: () => t.fail('came'), complete: () => trace.push('other') });
    const finished = loop.run();
    await provokeUntil(loop, specimen, () => loop.state === 'finished');
    t.equal(await finished, 0);
    t.strictSame(trace, ['next', 'complete', 'other']);
  }
});

forEach('with `exitOnFailure` an error in next ends the loop and is a warning', async (t, _loop, specimen) => {
  using loop = new EventLoop();
  const warning = once(process, 'warning');
  const failure = new Error(`failed`);
  let comes = 0;
  specimen.source(loop, { exitOnFailure: 9 }).subscribe(() => {
    comes++;
    throw failure;
  });
  const finished = loop.run();
  // No longer: from then on nobody takes the signal, which would end this process.
  await provokeUntil(loop, specimen, () => comes > 0);
  t.equal(await finished, 9);
  t.equal(comes, 1);
  t.strictSame(await warning, [failure]);
});
