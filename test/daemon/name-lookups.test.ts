import { NameLookups } from '@sdrx/daemon';
import { EventLoop } from '@sdrx/event';
import { VirtualLoop } from '@sdrx/event/testing';
import { lastValueFrom } from 'rxjs';
import t from 'tap';

/** How long a call may take, in milliseconds. */
const CALL_TIME = 60_000;

/** A database that answers when it is told to. */
class Database {
  readonly asked: (string | number)[] = [];
  readonly #answers = new Map<string | number, (taken: boolean) => void>();
  readonly ask = (key: string | number) => {
    this.asked.push(key);
    return new Promise<boolean>((resolve) => this.#answers.set(key, resolve));
  };
  answer(key: string | number, taken: boolean): void {
    this.#answers.get(key)?.(taken);
  }
}

async function onLoop(body: (loop: EventLoop) => Promise<void>): Promise<void> {
  using loop = new EventLoop();
  const running = loop.run();
  await body(loop);
  loop.exit();
  await running;
}

t.test('the system is asked for users and groups, by name and id', (t) =>
  onLoop(async (loop) => {
    const lookups = new NameLookups(CALL_TIME);
    for (const key of ['root', 0]) t.equal(await lastValueFrom(lookups.isTaken(loop, key)), true, String(key));
    for (const key of ['ns-nobody-here-0', 0x7654_3210])
      t.equal(await lastValueFrom(lookups.isTaken(loop, key)), false, String(key));
    t.equal(lookups.busy, false);
  }),
);

t.test('two are asked for at a time, the others in their turn', (t) =>
  onLoop(async (loop) => {
    const database = new Database();
    const lookups = new NameLookups(CALL_TIME, database.ask);
    const all = ['a', 'b', 'c', 'd'].map((key) => lastValueFrom(lookups.isTaken(loop, key)));
    t.strictSame(database.asked, ['a', 'b']);
    database.answer('b', true);
    t.equal(await all[1], true);
    t.strictSame(database.asked, ['a', 'b', 'c']);
    for (const key of ['a', 'c']) database.answer(key, false);
    t.equal(await all[0], false);
    database.answer('d', true);
    t.equal(await all[3], true);
  }),
);

t.test(
  'one that does not answer is an error after a part of the time of a call, also for who has to wait for that',
  (t) =>
    onLoop(async (loop) => {
      const database = new Database();
      const lookups = new NameLookups(100, database.ask);
      const mute = ['a', 'b', 'c'].map((key) => lastValueFrom(lookups.isTaken(loop, key)));
      for (const one of mute) await t.rejects(one, { code: 'ETIMEDOUT' });
      t.strictSame(database.asked, ['a', 'b'], 'who gave up is not asked for');
      t.equal(lookups.busy, true);
      // Once they answer after all, it is of use again.
      for (const key of ['a', 'b']) database.answer(key, true);
      await lastValueFrom(loop.time({ after: 1 }));
      t.equal(lookups.busy, false);
      const next = lastValueFrom(lookups.isTaken(loop, 'd'));
      database.answer('d', true);
      t.equal(await next, true);
    }),
);

for (const [callTime, limit] of [
  [10_000, 3000],
  [60_000, 18_000],
] as const) {
  t.test(`a call that may take ${callTime} ms waits for ${limit} ms of them`, async (t) => {
    using loop = new VirtualLoop();
    const finished = loop.run();
    let outcome = 'none yet';
    const error = () => {
      outcome = 'an error';
    };
    new NameLookups(callTime, new Database().ask).isTaken(loop, 'a').subscribe({ error });
    await loop.advance(limit - 1);
    t.equal(outcome, 'none yet');
    // As late as timers may be.
    await loop.advance(1000);
    t.equal(outcome, 'an error');
    loop.exit();
    await loop.settle();
    await finished;
  });
}

t.test('what it fails with is passed on', (t) =>
  onLoop(async (loop) => {
    const lookups = new NameLookups(CALL_TIME, () => Promise.reject(new Error('broken')));
    await t.rejects(lastValueFrom(lookups.isTaken(loop, 'a')), /broken/);
    t.equal(lookups.busy, false);
  }),
);
