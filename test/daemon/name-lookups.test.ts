import { NameLookups } from '@sdrx/daemon';
import { EventLoop } from '@sdrx/event';
import { lastValueFrom } from 'rxjs';
import t from 'tap';

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
    const lookups = new NameLookups();
    for (const key of ['root', 0]) t.equal(await lastValueFrom(lookups.isTaken(loop, key)), true, String(key));
    for (const key of ['ns-nobody-here-0', 0x7654_3210])
      t.equal(await lastValueFrom(lookups.isTaken(loop, key)), false, String(key));
    t.equal(lookups.busy, false);
  }),
);

t.test('two are asked for at a time, the others in their turn', (t) =>
  onLoop(async (loop) => {
    const database = new Database();
    const lookups = new NameLookups(database.ask);
    const all = ['a', 'b', 'c', 'd'].map((key) => lastValueFrom(lookups.isTaken(loop, key, 60_000)));
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

t.test('one that does not answer is an error after a while, also for who has to wait for that', (t) =>
  onLoop(async (loop) => {
    const database = new Database();
    const lookups = new NameLookups(database.ask);
    const mute = ['a', 'b', 'c'].map((key) => lastValueFrom(lookups.isTaken(loop, key, 30)));
    for (const one of mute) await t.rejects(one, { code: 'ETIMEDOUT' });
    t.strictSame(database.asked, ['a', 'b'], 'who gave up is not asked for');
    t.equal(lookups.busy, true);
    // Once it answers after all, it is of use again.
    database.answer('a', true);
    const next = lastValueFrom(lookups.isTaken(loop, 'd', 60_000));
    await lastValueFrom(loop.time({ after: 1 }));
    database.answer('d', true);
    t.equal(await next, true);
  }),
);

t.test('what it fails with is passed on', (t) =>
  onLoop(async (loop) => {
    const lookups = new NameLookups(() => Promise.reject(new Error('broken')));
    await t.rejects(lastValueFrom(lookups.isTaken(loop, 'a')), /broken/);
    t.equal(lookups.busy, false);
  }),
);
