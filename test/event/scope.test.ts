import { DeadlineError, EndError, Scope } from '@sdrx/event';
import { VirtualLoop } from '@sdrx/event/testing';
import { NEVER, of, throwError, timer } from 'rxjs';
import t from 'tap';

/** The messages of what went wrong. */
async function failures(end: Promise<void>): Promise<string[]> {
  try {
    await end;
    return [];
  } catch (error) {
    if (!(error instanceof EndError)) throw error;
    return error.errors.map((each: Error) => `${each.name}: ${each.message}`);
  }
}

t.test('the last comes first, each when the one before is done, whatever kind it is', async (t) => {
  const done: string[] = [];
  const scope = new Scope();
  scope.add('plain', () => {
    done.push('plain');
  });
  scope.add('promise', async () => {
    await new Promise((resolve) => setTimeout(resolve, 20));
    done.push('promise');
  });
  scope.add('observable', () => {
    done.push('observable');
    return timer(20);
  });
  scope.add('empty', () => of());
  const thing = scope.use('disposable', { [Symbol.dispose]: () => done.push('disposable') } as unknown as Disposable);
  scope.use('async disposable', {
    [Symbol.asyncDispose]: async () => done.push('async'),
  } as unknown as AsyncDisposable);
  t.ok(thing);
  t.notOk(scope.ending);
  const end = scope.end();
  t.ok(scope.ending);
  t.equal(scope.end(), end, 'there is one end');
  await end;
  t.strictSame(done, ['async', 'disposable', 'observable', 'promise', 'plain']);
  t.throws(() => scope.add('late', () => {}), /'late' can't be added/);
});

t.test('a step that was taken out is not done', async (t) => {
  const scope = new Scope();
  const step = scope.add('gone', () => t.fail('it is gone'));
  scope.add('other', () => {});
  step[Symbol.dispose]();
  step[Symbol.dispose]();
  await scope.end();
});

t.test('failures keep nothing from being done, and all are told', async (t) => {
  const done: string[] = [];
  const scope = new Scope();
  scope.add('first', () => {
    done.push('first');
    throw new Error('one');
  });
  scope.add('second', () => throwError(() => new Error('two')));
  scope.add('third', async () => {
    done.push('third');
    throw new TypeError('three');
  });
  t.strictSame(await failures(scope.end()), ['TypeError: three', 'Error: two', 'Error: one']);
  t.strictSame(done, ['third', 'first']);
});

t.test('a step that takes too long is broken off, one that does not care is left behind', async (t) => {
  const scope = new Scope({ deadline: 20 });
  let done = false;
  scope.add('last', () => {
    done = true;
  });
  scope.add('deaf', () => NEVER);
  scope.add('slow', ({ signal }) => new Promise((resolve) => signal.addEventListener('abort', resolve)), {
    deadline: 50,
  });
  scope.add('patient', () => timer(100), { deadline: Number.POSITIVE_INFINITY });
  const begin = performance.now();
  const told = await failures(scope.end());
  t.strictSame(told, [
    "DeadlineError: 'slow' took longer than 50 ms and was broken off",
    "DeadlineError: 'deaf' took longer than 20 ms and was broken off",
    "DeadlineError: 'deaf' has not ended, 1000 ms after it was told to break off",
  ]);
  t.ok(performance.now() - begin >= 1000);
  t.ok(done);
  t.match(new DeadlineError('x', 1, true), { step: 'x', deadline: 1, leftBehind: true });
});

t.test('an immediate end tells each step at once; a graceful one can become immediate', async (t) => {
  const aborted: boolean[] = [];
  const hurried = new Scope();
  hurried.add('at once', ({ signal }) => {
    aborted.push(signal.aborted);
  });
  await hurried.end('immediate');
  t.strictSame(aborted, [true]);

  const scope = new Scope({ deadline: Number.POSITIVE_INFINITY });
  scope.add('then at once', ({ signal }) => {
    aborted.push(signal.aborted);
  });
  scope.add('slow', ({ signal }) => new Promise((resolve) => signal.addEventListener('abort', resolve)));
  const end = scope.end();
  setTimeout(() => scope.end('immediate').catch(() => {}), 20);
  await end;
  t.strictSame(aborted, [true, true]);
});

t.test('await using ends it; an end leaves no timer behind', async (t) => {
  let ended = false;
  {
    await using scope = new Scope();
    scope.add('it', async () => {
      ended = true;
    });
  }
  t.ok(ended);
  t.strictSame(
    process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout'),
    [],
  );
});

t.test('a step that asks for the end, too, gets the one that has begun', async (t) => {
  const scope = new Scope();
  const done: string[] = [];
  let inner: Promise<void> | undefined;
  scope.add('first', () => {
    done.push('first');
  });
  scope.add('last', () => {
    t.ok(scope.ending);
    inner = scope.end();
    done.push('last');
  });
  const end = scope.end();
  t.ok(scope.ending);
  await end;
  t.equal(inner, end);
  t.strictSame(done, ['last', 'first']);
});

t.test('deadlines are by any clock, such as that of a virtual loop', async (t) => {
  using loop = new VirtualLoop();
  const finished = loop.run();
  const later = (after: number, call: () => void) => {
    const time = loop.time({ after }).subscribe(call);
    return () => time.unsubscribe();
  };
  const scope = new Scope({ deadline: 86_400_000, later });
  scope.add('it', () => new Promise(() => {}));
  const failed = t.rejects(scope.end(), { errors: [{ leftBehind: false }, { leftBehind: true }] });
  await loop.advance(86_400_000 + 1000);
  await failed;
  loop.exit();
  await loop.finish();
  await finished;
});
