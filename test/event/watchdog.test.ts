import { EventLoop, watchdog, watchdogTimeout } from '@sdrx/event';
import { now } from '@sdrx/linux';
import { lastValueFrom, take, toArray } from 'rxjs';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { until } from '../support/until.js';
import { withEnvironment } from './environment.js';
import { onLoop } from './on-loop.js';
import { ServiceManager } from './service-manager.js';

const own = `${process.pid}`;

/** Runs `body` with a service manager that waits for signs of life, `timeout` in milliseconds. */
async function withWatchdog(timeout: number, body: (manager: ServiceManager) => Promise<void>): Promise<void> {
  using manager = new ServiceManager(`@sdrx-test-${process.pid}-${timeout}`);
  const variables = { WATCHDOG_USEC: `${timeout * 1e3}`, WATCHDOG_PID: own, NOTIFY_SOCKET: manager.address };
  await withEnvironment(variables, () => body(manager));
}

t.test('the timeout is WATCHDOG_USEC, in milliseconds', (t) => {
  t.equal(watchdogTimeout({ WATCHDOG_USEC: '20000000' }), 20_000);
  t.equal(watchdogTimeout({ WATCHDOG_USEC: '1500', WATCHDOG_PID: own }), 1.5);
  t.end();
});

t.test('there is none when it is unset, zero, or meant for another process', (t) => {
  t.equal(watchdogTimeout({}), undefined);
  t.equal(watchdogTimeout({ WATCHDOG_PID: own }), undefined);
  t.equal(watchdogTimeout({ WATCHDOG_USEC: '0' }), undefined);
  t.equal(watchdogTimeout({ WATCHDOG_USEC: '1000', WATCHDOG_PID: '1' }), undefined);
  t.equal(watchdogTimeout({ WATCHDOG_USEC: '1000', WATCHDOG_PID: `${process.ppid}` }), undefined);
  t.end();
});

t.test('what is meant for another process may be malformed', (t) => {
  t.equal(watchdogTimeout({ WATCHDOG_USEC: 'soon', WATCHDOG_PID: '1' }), undefined);
  t.end();
});

t.test('what is malformed is an error that names it', (t) => {
  for (const value of ['', '1.5', '-1', '1e3', ' 5', '0x10', 'ten', '99999999999999999999']) {
    t.throws(() => watchdogTimeout({ WATCHDOG_USEC: value }), { name: 'EnvironmentError', variable: 'WATCHDOG_USEC' });
    t.throws(() => watchdogTimeout({ WATCHDOG_USEC: '1', WATCHDOG_PID: value }), {
      name: 'EnvironmentError',
      variable: 'WATCHDOG_PID',
    });
  }
  t.end();
});

t.test('the environment of the process counts if no other is given', () =>
  withEnvironment({ WATCHDOG_USEC: '3000', WATCHDOG_PID: undefined }, () => {
    t.equal(watchdogTimeout(), 3);
  }),
);

t.test(
  'gives a sign of life at once, then at half of the timeout, and counts them',
  onLoop((t, loop) =>
    withWatchdog(1000, async (manager) => {
      const start = now();
      const signs: { readonly index: number; readonly time: number; readonly lines: readonly string[] }[] = [];
      const subscription = watchdog(loop).subscribe((index) => {
        signs.push({ index, time: now() - start, lines: manager.read()?.lines ?? [] });
      });
      await until(() => signs.length === 3);
      subscription.unsubscribe();
      signs.forEach(({ index, time, lines }, position) => {
        t.equal(index, position);
        t.strictSame(lines, ['WATCHDOG=1']);
        t.ok(time >= index * 500, `sign ${index} after ${time} ms`);
        const before = signs[index - 1]?.time ?? 0;
        t.ok(time - before < 1000, 'before the manager loses its patience');
      });
      t.equal(manager.read(), undefined);
    }),
  ),
);

t.test(
  'a loop that hangs gives none',
  onLoop((t, loop) =>
    withWatchdog(40, async (manager) => {
      let signs = 0;
      const subscription = watchdog(loop).subscribe(() => signs++);
      await until(() => signs === 1);
      while (manager.read() !== undefined);
      const end = now() + 100;
      while (now() < end);
      t.equal(manager.read(), undefined);
      await until(() => signs >= 2);
      t.strictSame(manager.read()?.lines, ['WATCHDOG=1']);
      subscription.unsubscribe();
    }),
  ),
);

t.test(
  'completes at once when no watchdog is on, and is an error when the environment is malformed',
  onLoop(async (t, loop) => {
    const variables = { WATCHDOG_USEC: undefined, WATCHDOG_PID: undefined };
    await withEnvironment(variables, async () => {
      t.strictSame(await lastValueFrom(watchdog(loop).pipe(toArray())), []);
    });
    await withEnvironment({ ...variables, WATCHDOG_USEC: '100', WATCHDOG_PID: '1' }, async () => {
      t.strictSame(await lastValueFrom(watchdog(loop).pipe(toArray())), []);
    });
    await withEnvironment({ ...variables, WATCHDOG_USEC: 'soon' }, () =>
      t.rejects(lastValueFrom(watchdog(loop)), { name: 'EnvironmentError' }),
    );
  }),
);

t.test(
  'a service manager that is gone is an error',
  onLoop((t, loop) =>
    withWatchdog(100, async (manager) => {
      manager[Symbol.dispose]();
      await t.rejects(lastValueFrom(watchdog(loop)), { code: 'ECONNREFUSED' });
    }),
  ),
);

t.test(
  'is a source like others: it ends with the loop',
  leavingNothing(() =>
    withWatchdog(50, async () => {
      using loop = new EventLoop();
      const signs = lastValueFrom(watchdog(loop, { priority: -1 }).pipe(take(1000), toArray()));
      loop.time({ after: 60 }).subscribe(() => loop.exit());
      await loop.run();
      t.ok((await signs).length >= 1);
    }),
  ),
);
