import { writeFileSync } from 'node:fs';
import { type Attachment, EventLoop, type Kernel, type SourceHandle, type SourceOptions } from '@sdrx/event';
import { VirtualLoop } from '@sdrx/event/testing';
import { EPOLLIN, eventfd, type Fd, IN_CREATE, read, signalNumber, write } from '@sdrx/linux';
import { type Observable, take, tap } from 'rxjs';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';

/** What an eventfd counts, as a source of one's own. */
function counts(loop: EventLoop, fd: Fd, options?: SourceOptions): Observable<number> {
  return loop.source<number>(
    'count',
    (source, kernel) => {
      const buffer = Buffer.alloc(8);
      const ready = (): void => {
        if (read(fd.number, buffer) !== undefined) source.pendAlso(Number(buffer.readBigUInt64LE()));
      };
      source.use(kernel.watch(fd.number, EPOLLIN, ready));
      return {};
    },
    options,
  );
}

function add(fd: Fd, count: number): void {
  const value = Buffer.alloc(8);
  value.writeBigUInt64LE(BigInt(count));
  write(fd.number, value);
}

/** Comes after a while, without any descriptor: by the kernel's alarm. */
function later(loop: EventLoop, milliseconds: number): Observable<number> {
  return loop.source<number>('later', (source, kernel) => {
    const alarm = kernel.alarm('monotonic', () => source.pend(kernel.now('monotonic')));
    alarm.set(kernel.now('monotonic') + milliseconds);
    return { detach: () => alarm[Symbol.dispose](), dispatched: () => source.complete() };
  });
}

t.test(
  'comes in its turn, by its priority, and frees what it holds',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    using first = eventfd(0);
    using second = eventfd(0);
    const seen: string[] = [];
    counts(loop, first)
      .pipe(take(2))
      .subscribe((count) => seen.push(`first ${count}`));
    const urgent = counts(loop, second, { priority: -1, description: 'urgent' });
    urgent.pipe(take(1)).subscribe((count) => seen.push(`second ${count}`));
    t.match(loop.sources(), [{ kind: 'count' }, { kind: 'count', description: 'urgent', priority: -1 }]);
    add(first, 1);
    add(second, 2);
    const finished = loop.run();
    loop.time({ after: 20 }).subscribe(() => {
      add(first, 3);
      loop.time({ after: 20 }).subscribe(() => loop.exit());
    });
    await finished;
    t.strictSame(seen, ['second 2', 'first 1', 'first 3']);
  }),
);

t.test('has a rate limit, and can be prepared for, as any other', async (t) => {
  using loop = new EventLoop();
  using fd = eventfd(0);
  let prepared = 0;
  let seen = 0;
  const options = { ratelimit: { interval: 10_000, burst: 1 }, prepare: () => prepared++ };
  counts(loop, fd, options).subscribe(() => {
    seen++;
    add(fd, 1);
  });
  add(fd, 1);
  await loop.run(loop.time({ after: 50 }).pipe(tap(() => loop.exit())));
  t.equal(seen, 1);
  t.ok(prepared > 0);
});

t.test(
  'an error while it begins is that of the subscription, one of an observer ends the loop if it is to',
  async (t) => {
    using loop = new EventLoop();
    loop
      .source('broken', () => {
        throw new Error('no such thing');
      })
      .subscribe({ error: ({ message }) => t.equal(message, 'no such thing') });
    const warned = new Promise((resolve) => process.once('warning', resolve));
    later(loop, 1).subscribe({ error: t.error });
    loop
      .source<void>(
        'at once',
        (source) => {
          source.pend();
          return {};
        },
        { exitOnFailure: 7 },
      )
      .subscribe(() => {
        throw new Error('an observer fails');
      });
    t.equal(await loop.run(), 7);
    t.match(await warned, { message: 'an observer fails' });
  },
);

/** A kind of source that has `callback` called, for one reason or another. */
type Calling = (source: SourceHandle<void>, kernel: Kernel, fd: Fd, callback: () => never) => Attachment<void>;

const CALLING: Readonly<Record<string, Calling>> = {
  watch: (source, kernel, fd, callback) => {
    source.use(kernel.watch(fd.number, EPOLLIN, callback));
    return {};
  },
  alarm: (source, kernel, _, callback) => {
    source.use(kernel.alarm('monotonic', callback)).set(0);
    return {};
  },
  nextTurn: (_, kernel, __, callback) => {
    kernel.nextTurn(callback);
    return {};
  },
  dispatched: (source, _, __, dispatched) => {
    source.pend();
    return { dispatched };
  },
  online: (source, _, __, callback) => {
    source.pendAlso();
    source.pendAlso();
    return { online: (on) => on || callback() };
  },
  'signal, which is told of': (_, kernel, __, callback) => {
    const detach = kernel.signal(signalNumber('SIGUSR2'), { ready: callback, received: () => {} });
    process.kill(process.pid, 'SIGUSR2');
    return { detach };
  },
  'signal, which is taken': (_, kernel, __, callback) => {
    const detach = kernel.signal(signalNumber('SIGUSR2'), { ready: (signal) => signal.deliver(), received: callback });
    process.kill(process.pid, 'SIGUSR2');
    return { detach };
  },
  inotify: (_, kernel, __, callback) => {
    const folder = new Folder();
    const end = kernel.inotify(folder.path, IN_CREATE, callback);
    writeFileSync(folder.join('file'), '');
    const detach = (): void => {
      end();
      folder[Symbol.dispose]();
    };
    return { detach };
  },
};

for (const [what, calling] of Object.entries(CALLING)) {
  t.test(
    `what a callback throws is the error of its source, and no matter of others: ${what}`,
    leavingNothing(async (t) => {
      using loop = new EventLoop();
      using fd = eventfd(1);
      const seen: string[] = [];
      const broken = loop.source<void>(
        'broken',
        (source, kernel) =>
          calling(source, kernel, fd, () => {
            throw new Error('a callback fails');
          }),
        { ratelimit: { interval: 10_000, burst: 1 } },
      );
      broken.subscribe({ error: ({ message }) => seen.push(message) });
      loop.time({ after: 50 }).subscribe(() => {
        seen.push('another source');
        loop.exit();
      });
      t.equal(await loop.run(), 0);
      t.strictSame(seen, ['a callback fails', 'another source']);
    }),
  );
}

/** Notes its end. */
function thing(name: string, ended: string[]): Disposable {
  return { [Symbol.dispose]: () => void ended.push(name) };
}

t.test('what it uses is disposed of at its end, or if it can not begin; the last first, all of it', async (t) => {
  using loop = new EventLoop();
  const ended: string[] = [];
  const keeping = (...things: readonly Disposable[]) =>
    loop.source<void>('keeping', (source) => {
      for (const thing of things) t.equal(source.use(thing), thing);
      if (things.length < 3) throw new Error('one is missing');
      return { detach: () => void ended.push('detach') };
    });
  const [first, last] = [thing('first', ended), thing('last', ended)];
  const failing = {
    [Symbol.dispose]: () => {
      throw new Error('an end fails');
    },
  };
  const subscription = keeping(first, failing, last).subscribe();
  t.strictSame(ended, []);
  t.throws(() => subscription.unsubscribe(), /an end fails/);
  t.strictSame(ended.splice(0), ['detach', 'last', 'first']);
  keeping(first, last).subscribe({ error: ({ message }) => ended.push(message) });
  t.strictSame(ended, ['last', 'first', 'one is missing']);
});

t.test('ends by an error or without one, and drops what was not told yet', async (t) => {
  using loop = new EventLoop();
  const seen: unknown[] = [];
  const ending = (how: 'pendError' | 'pendComplete') =>
    loop.source<number>('ending', (source) => {
      source.pendAlso(1);
      source.pendAlso(2);
      source[how](new Error('over'));
      return {};
    });
  ending('pendError').subscribe({ next: (n) => seen.push(n), error: ({ message }) => seen.push(message) });
  ending('pendComplete').subscribe({ next: (n) => seen.push(n), complete: () => seen.push('complete') });
  await loop.run(loop.time({ after: 10 }).pipe(tap(() => loop.exit())));
  t.strictSame(seen, ['over', 'complete']);
});

t.test('on a virtual loop it is the same, in no time', async (t) => {
  using loop = new VirtualLoop();
  const finished = loop.run();
  const seen: number[] = [];
  later(loop, 86_400_000).subscribe((time) => seen.push(time));
  await loop.advance(86_399_999);
  t.strictSame(seen, []);
  await loop.advance(1);
  t.strictSame(seen, [86_400_000]);
  const broken = loop.source<void>('broken', (source, kernel) => {
    const rings = (): void => {
      throw new Error('too late');
    };
    source.use(kernel.alarm('monotonic', rings)).set(86_400_001);
    return {};
  });
  const errors: string[] = [];
  broken.subscribe({ error: ({ message }) => errors.push(message) });
  await loop.advance(1);
  t.strictSame(errors, ['too late']);
  loop.exit();
  await loop.finish();
  await finished;
});
