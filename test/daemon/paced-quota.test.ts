import { LocalQuota, PacedQuota } from '@sdrx/daemon';
import t from 'tap';
import { until } from '../support/until.js';

/** How many in a row are given back at once, and how many more each second. */
const BURST = 64;
const RATE = 8;

const USER = 1000;

/** Takes one and gives it back, so many times. @returns how often that was possible */
function takeAndGiveBack(quota: PacedQuota, uid: number, count: number): number {
  for (let taken = 0; taken < count; taken++) {
    const place = quota.take(uid);
    if (place === undefined) return taken;
    place[Symbol.dispose]();
  }
  return count;
}

/** Takes and gives back until there is none. @returns by how many that is wrong */
function exhaust(quota: PacedQuota, expected: number): { readonly tooMany: number; readonly tooFew: number } {
  const begin = performance.now();
  const taken = takeAndGiveBack(quota, USER, 1000);
  const meanwhile = Math.ceil(((performance.now() - begin) * RATE) / 1000);
  return { tooMany: Math.max(0, taken - expected - meanwhile), tooFew: Math.max(0, expected - taken) };
}

t.test('who takes many in a row has to wait for a place, others and root have not', async (t) => {
  const inner = new LocalQuota(2);
  const quota = new PacedQuota(inner);
  t.strictSame(exhaust(quota, BURST + 2), { tooMany: 0, tooFew: 0 }, 'the last two are still taken');
  t.equal(inner.take(USER), undefined);
  t.equal(takeAndGiveBack(quota, USER + 1, BURST), BURST);
  t.equal(takeAndGiveBack(quota, 0, 1000), 1000);
  const begin = performance.now();
  await until(() => inner.take(USER) !== undefined);
  t.ok(performance.now() - begin > 100, 'after a while');
});

t.test('what is held for long is given back at once', async (t) => {
  const inner = new LocalQuota(1);
  const quota = new PacedQuota(inner);
  t.equal(takeAndGiveBack(quota, USER, BURST), BURST);
  const place = quota.take(USER);
  const begin = performance.now();
  await until(() => performance.now() - begin > 300);
  t.equal(inner.take(USER), undefined);
  place?.[Symbol.dispose]();
  t.ok(inner.take(USER));
});

t.test('more come with time', async (t) => {
  const inner = new LocalQuota(1);
  const quota = new PacedQuota(inner);
  t.strictSame(exhaust(quota, BURST + 1), { tooMany: 0, tooFew: 0 });
  const begin = performance.now();
  await until(() => performance.now() - begin > 600);
  const more = Math.floor(((performance.now() - begin) * RATE) / 1000);
  t.strictSame(exhaust(quota, more + 1), { tooMany: 0, tooFew: 0 });
});
