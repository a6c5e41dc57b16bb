import { EventLoop, type ReloadingOptions, type ReloadOutcome, reloading } from '@sdrx/event';
import { of, Subject, throwError } from 'rxjs';
import t, { type Test } from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { until } from '../support/until.js';
import { withEnvironment } from './environment.js';
import { onLoop } from './on-loop.js';
import { ServiceManager } from './service-manager.js';

let names = 0;

/** A test with a service manager, and the outcomes of a service that reloads by `work`. */
function whileReloading(
  work: () => unknown,
  body: (t: Test, manager: ServiceManager, outcomes: ReloadOutcome[]) => Promise<void>,
  options?: ReloadingOptions,
): (t: Test) => Promise<void> {
  return onLoop(async (t, loop) => {
    using manager = new ServiceManager(`@sdrx-test-${process.pid}-reload-${names++}`);
    const outcomes: ReloadOutcome[] = [];
    await withEnvironment({ NOTIFY_SOCKET: manager.address }, async () => {
      const subscription = reloading(loop, work, options).subscribe((outcome) => outcomes.push(outcome));
      await body(t, manager, outcomes);
      subscription.unsubscribe();
    });
    t.equal(manager.read(), undefined, 'nothing more is told');
  });
}

const hangUp = () => process.kill(process.pid, 'SIGHUP');

/** Looks at a RELOADING=1, whose time must not lie before `since`, in nanoseconds. */
async function reloadingSince(t: Test, manager: ServiceManager, since: bigint, ...more: string[]): Promise<void> {
  const { lines } = await manager.next();
  const [reloading, time = '', ...others] = lines;
  t.strictSame([reloading, others], ['RELOADING=1', more]);
  const [, microseconds = ''] = /^MONOTONIC_USEC=(\d+)$/.exec(time) ?? [];
  t.ok(BigInt(microseconds) * 1000n >= since, 'systemd passes over a time before its reload');
}

const kinds: readonly [what: string, work: () => unknown][] = [
  ['plain', () => 5],
  ['a promise', () => Promise.resolve([1, 2])],
  ['an Observable', () => of(1, 2, 3)],
];

for (const [what, work] of kinds) {
  t.test(
    `work that is ${what} is framed by RELOADING and READY, each time`,
    whileReloading(work, async (t, manager, outcomes) => {
      for (const count of [1, 2]) {
        const before = process.hrtime.bigint();
        hangUp();
        await reloadingSince(t, manager, before);
        t.strictSame((await manager.next()).lines, ['READY=1']);
        await until(() => outcomes.length === count);
      }
      t.strictSame(outcomes, [{ ok: true }, { ok: true }]);
    }),
  );
}

const error = new Error('line 3:\nno such\r\nkey');
const failures: readonly [what: string, work: () => unknown][] = [
  [
    'throws',
    () => {
      throw error;
    },
  ],
  ['rejects', () => Promise.reject(error)],
  ['errors', () => throwError(() => error)],
];

for (const [what, fail] of failures) {
  let isGood = false;
  t.test(
    `work that ${what} is told by STATUS, and the next that does not fail, too`,
    whileReloading(
      () => (isGood ? undefined : fail()),
      async (t, manager, outcomes) => {
        const readyAfterReload = async () => {
          hangUp();
          await reloadingSince(t, manager, 0n);
          return (await manager.next()).lines;
        };
        const failed = ['READY=1', 'STATUS=reload failed: line 3: no such key'];
        t.strictSame(await readyAfterReload(), failed);
        t.strictSame(await readyAfterReload(), failed);
        isGood = true;
        t.strictSame(await readyAfterReload(), ['READY=1', 'STATUS=reloaded']);
        t.strictSame(await readyAfterReload(), ['READY=1']);
        await until(() => outcomes.length === 4);
        t.strictSame(outcomes, [{ ok: false, error }, { ok: false, error }, { ok: true }, { ok: true }]);
      },
    ),
  );
}

const steps: Subject<void>[] = [];
const stepwise = () => {
  const step = new Subject<void>();
  steps.push(step);
  return step;
};

t.test(
  'one at a time: what is asked for meanwhile is done once more afterwards, and never lost',
  whileReloading(stepwise, async (t, manager, outcomes) => {
    for (let round = 0; round < 3; round++) {
      const before = steps.length;
      hangUp();
      await until(() => steps.length === before + 1);
      await reloadingSince(t, manager, 0n);
      for (let count = 0; count < 3; count++) {
        const asked = process.hrtime.bigint();
        hangUp();
        // So that the signals are not one.
        for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
        t.equal(manager.read(), undefined);
        t.equal(steps.length, before + 1);
        if (count < 2) continue;
        steps.at(-1)?.complete();
        t.strictSame((await manager.next()).lines, ['READY=1']);
        await reloadingSince(t, manager, asked);
      }
      t.equal(steps.length, before + 2);
      steps.at(-1)?.complete();
      t.strictSame((await manager.next()).lines, ['READY=1']);
      await until(() => outcomes.length === before + 2);
    }
  }),
);

const slow: Subject<void>[] = [];

t.test(
  'work that takes long asks for more time, until it is done',
  whileReloading(
    () => {
      const step = new Subject<void>();
      slow.push(step);
      return step;
    },
    async (t, manager, outcomes) => {
      hangUp();
      await reloadingSince(t, manager, 0n, 'EXTEND_TIMEOUT_USEC=20000');
      for (let count = 0; count < 3; count++) {
        t.strictSame((await manager.next()).lines, ['EXTEND_TIMEOUT_USEC=20000']);
      }
      slow[0]?.complete();
      await until(() => outcomes.length === 1);
      let lines = (await manager.next()).lines;
      while (lines[0] !== 'READY=1') lines = (await manager.next()).lines;
    },
    { extend: 20 },
  ),
);

t.test(
  'it may be asked by other signals',
  whileReloading(
    () => {},
    async (t, manager) => {
      for (const signal of ['SIGUSR2', 'SIGWINCH'] as const) {
        process.kill(process.pid, signal);
        await reloadingSince(t, manager, 0n);
        t.strictSame((await manager.next()).lines, ['READY=1']);
      }
    },
    { signals: ['SIGUSR2', 'SIGWINCH'] },
  ),
);

const asked = new Subject<string>();

t.test(
  'it may be asked by something else, too',
  whileReloading(
    () => {},
    async (t, manager) => {
      for (const ask of [() => asked.next('please'), hangUp]) {
        ask();
        await reloadingSince(t, manager, 0n);
        t.strictSame((await manager.next()).lines, ['READY=1']);
      }
    },
    { also: asked },
  ),
);

t.test(
  'without a service manager, or with one that is gone, the work is done all the same',
  onLoop(async (t, loop) => {
    for (const address of [undefined, `@sdrx-test-${process.pid}-no-manager`]) {
      await withEnvironment({ NOTIFY_SOCKET: address }, async () => {
        const outcomes: ReloadOutcome[] = [];
        const subscription = reloading(loop, () => {}).subscribe((outcome) => outcomes.push(outcome));
        const warning = new Promise<Error>((resolve) => process.once('warning', resolve));
        hangUp();
        await until(() => outcomes.length === 1);
        t.strictSame(outcomes, [{ ok: true }]);
        if (address !== undefined) t.match((await warning).message, /is not told of a reload: ECONNREFUSED/);
        subscription.unsubscribe();
      });
    }
  }),
);

t.test(
  'who unsubscribes ends the work, and so does the end of the loop',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const work = new Subject<void>();
    const program = reloading(loop, () => work);
    const finished = loop.run(program);
    const subscription = program.subscribe();
    const underWay = async () => {
      hangUp();
      await until(() => work.observed);
    };
    await underWay();
    loop.exit(7);
    subscription.unsubscribe();
    t.equal(await finished, 7);
    t.notOk(work.observed);
  }),
);
