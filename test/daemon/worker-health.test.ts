import { FailureBackoff, GrowingDelay, StartPatience, WorkerHealth } from '@sdrx/daemon';
import t from 'tap';

t.test('a worker is silent after five looks in a row without a sign of life', async (t) => {
  const health = new WorkerHealth();
  t.equal(health.look(1, 'serving', 20), 'serving');
  for (let look = 0; look < 4; look++) t.equal(health.look(1, 'serving', 20), 'serving');
  t.equal(health.look(1, 'serving', 20), 'silent');
});

t.test('one sign is enough to begin anew', async (t) => {
  const health = new WorkerHealth();
  health.look(1, 'serving', 20);
  for (let look = 0; look < 4; look++) health.look(1, 'serving', 20);
  t.equal(health.look(3, 'full', 20), 'full');
  for (let look = 0; look < 4; look++) t.equal(health.look(3, 'draining', 20), 'draining');
  t.equal(health.look(3, 'draining', 20), 'silent');
});

t.test('a worker that has not begun has more time, and then never did', async (t) => {
  const health = new WorkerHealth();
  for (let look = 0; look < 19; look++) t.equal(health.look(0, 'starting', 20), 'starting');
  t.equal(health.look(0, 'starting', 20), 'stillborn');
  t.equal(health.started, false);
});

t.test('each worker that does not get started doubles the patience with the next ones, up to a limit', async (t) => {
  const patience = new StartPatience();
  const looks = [patience.looks];
  for (let failure = 0; failure < 6; failure++) {
    patience.failed();
    looks.push(patience.looks);
  }
  t.strictSame(looks, [20, 40, 80, 160, 320, 320, 320]);
  patience.succeeded(10);
  t.equal(patience.looks, 20);
});

t.test('one that took long to start leaves the next ones twice as long', async (t) => {
  for (const [took, looks] of [
    [0, 20],
    [10, 20],
    [11, 40],
    [20, 40],
    [21, 80],
    [79, 160],
    [319, 160],
  ] as const) {
    const patience = new StartPatience();
    for (let failure = 0; failure < 3; failure++) patience.failed();
    patience.succeeded(took);
    t.equal(patience.looks, looks, `${took}`);
  }
});

t.test('delays grow from a quarter of a second to five seconds', async (t) => {
  const delay = new GrowingDelay();
  t.strictSame(
    Array.from({ length: 7 }, () => delay.next()),
    [250, 500, 1000, 2000, 4000, 5000, 5000],
  );
  delay.reset();
  t.equal(delay.next(), 250);
});

t.test('workers that fail again and again for ten seconds are started less often', async (t) => {
  const backoff = new FailureBackoff();
  let now = 1000;
  for (; now < 11_000; now += 100) {
    backoff.failed(150, now);
    t.equal(backoff.next(now), 0);
  }
  backoff.failed(150, now + 100);
  t.equal(backoff.next(now + 100), 250);
  t.equal(backoff.next(now + 500), 500);
  t.equal(backoff.next(now + 30_200), 0, 'until none has failed for half a minute');
  backoff.failed(150, now + 40_000);
  t.equal(backoff.next(now + 40_000), 0);
});

t.test('those that fail at once are left to the limit of starts', async (t) => {
  const backoff = new FailureBackoff();
  for (let now = 0; now < 60_000; now += 20) {
    backoff.failed(40, now);
    t.equal(backoff.next(now), 0);
  }
});

t.test('so are a few failures, and those of workers that had been there for a while', async (t) => {
  const backoff = new FailureBackoff();
  for (let now = 0; now < 60_000; now += 2000) {
    backoff.failed(1900, now);
    for (let other = 0; other < 10; other++) backoff.failed(10_000, now);
    t.equal(backoff.next(now), 0);
  }
});
