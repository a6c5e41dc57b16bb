import type { RestartError, ServiceEvent } from '@sdrx/event';
import { ENOBUFS, ENOMEM, ENOSPC } from '@sdrx/linux';
import fc from 'fast-check';
import t from 'tap';
import { happen, histories, worlds } from './restart/restart-events.js';
import { type Fault, GOOD, RestartWorld, type WorldOptions } from './restart/restart-world.js';
import type { Fate, ServiceConstitution, SimulatedService } from './restart/simulated-service.js';

const RUNS = 200;

const USUAL: ServiceConstitution = {
  readyWithin: 3000,
  mostDraining: 2,
  deadline: 5000,
  hasPidFile: true,
  idle: 0,
};

/** A world that keeps what its services have told. */
class HeardWorld extends RestartWorld {
  readonly refusals: RestartError[] = [];

  override happened(service: SimulatedService, event: ServiceEvent): void {
    if (event.type === 'restart-failed') this.refusals.push(event.error);
    super.happened(service, event);
  }

  /** Those that run. */
  get pids(): number[] {
    return this.living.map(({ pid }) => pid);
  }
}

/** Runs a body in a world, which is ended after that, with all checks of the rules. */
async function inWorld(
  options: Partial<WorldOptions>,
  faults: readonly Fault[],
  body: (world: HeardWorld) => Promise<void>,
): Promise<void> {
  const unit = { exitType: 'main', notifyAccess: 'main', watchdog: 10_000 } as const;
  const world = new HeardWorld({ unit, service: USUAL, fates: [GOOD], delays: [], ...options });
  await world.begin();
  world.faults = [...faults];
  await body(world);
  await world.end();
}

t.test('whatever happens to a service that restarts, the rules are kept, and nothing is left', async (t) => {
  let [begun, succeeded, time] = [0, 0, 0];
  await fc.assert(
    fc.asyncProperty(worlds, histories, async (options, events) => {
      const world = new RestartWorld(options);
      await world.begin();
      for (const event of events) await happen(world, event);
      await world.end();
      begun += world.begun;
      succeeded += world.succeeded;
      time += world.loop.now();
    }),
    { numRuns: RUNS },
  );
  t.comment(
    `${begun} restarts, of which ${succeeded} succeeded, in ${Math.round(time / 60_000)} minutes of that world`,
  );
});

t.test('a hundred restarts, one after the other', async (t) => {
  await inWorld({}, [], async (world) => {
    for (let time = 0; time < 100; time++) {
      world.clientsCome(1, 50);
      world.restart('reload');
      await world.pass(200);
    }
    t.equal(world.succeeded, 100);
    t.equal(world.pids.length, 1);
  });
});

t.test('a new process says why it ends, also when it has not read all that it was told', async (t) => {
  await inWorld({ fates: [{ how: 'speaks otherwise' }] }, [], async (world) => {
    world.restart('call');
    await world.pass(2000);
    t.match(world.refusals, [{ reason: 'failed', message: /protocol must be 1, not 2/ }]);
  });
});

t.test('a new process that can not be watched is killed, and reaped', async (t) => {
  // The first one is of the channel.
  await inWorld({}, [{ who: 'old', call: 'watch', after: 1, what: ENOMEM }], async (world) => {
    world.restart('call');
    await world.pass(100);
    t.match(world.refusals, [{ reason: 'failed', message: /ENOMEM/ }]);
    t.equal(world.pids.length, 1);
  });
});

t.test('a new process that can not watch the former one fails, in words', async (t) => {
  await inWorld({}, [{ who: 'new', call: 'watch', after: 0, what: ENOMEM }], async (world) => {
    world.restart('call');
    await world.pass(2000);
    t.match(world.refusals, [{ reason: 'failed', message: /ENOMEM/ }]);
    t.equal(world.pids.length, 1);
  });
});

t.test('a new process that can not say why it fails ends', async (t) => {
  const fates: readonly Fate[] = [{ how: 'throws', takes: 5 }];
  await inWorld({ fates }, [{ who: 'new', call: 'send', after: 1, what: ENOBUFS }], async (world) => {
    world.restart('call');
    await world.pass(100);
    t.match(world.refusals, [{ reason: 'died', message: /exited 1/ }]);
  });
});

t.test('what can not be told to the new process any more does not undo that it is the service', async (t) => {
  // `hello`, `fds`, `state`, `accept` and `main` go before what it is told of the second reload.
  const faults: readonly Fault[] = [{ who: 'old', call: 'send', after: 5, what: ENOBUFS }];
  await inWorld({ unit: undefined }, faults, async (world) => {
    world.restart('signal');
    await world.settle();
    world.restart('signal');
    await world.pass(100);
    t.equal(world.succeeded, 1);
    t.match(world.refusals, []);
    t.equal(world.pids.length, 1, 'the old one has ended');
  });
});

t.test('an unfinished PID file that could not be put at its path goes with the next restart', async (t) => {
  await inWorld({}, [{ who: 'new', call: 'replace', after: 0, what: ENOSPC }], async (world) => {
    world.restart('call');
    await world.pass(100);
    t.equal(world.pidFile.drafts.size, 1);
    world.restart('call');
    await world.pass(100);
    t.equal(world.pidFile.drafts.size, 0);
    t.same([world.pidFile.owner], world.pids);
  });
});

t.test('a new process that can not read what the former one says does not take it for dead', async (t) => {
  // It is tried ten times more. `state`, `accept` and `main` come after `hello` and `fds`.
  for (const message of [0, 1, 2, 3, 4]) {
    const faults = Array.from(
      { length: 11 },
      () => ({ who: 'new', call: 'receive', after: message, what: ENOMEM }) as const,
    );
    await inWorld({ unit: undefined }, faults, async (world) => {
      const { pids } = world;
      world.restart('call');
      await world.pass(3000);
      t.match(world.refusals, [{ message: /could not be read: ENOMEM|died: exited 1/ }], `message ${message}`);
      t.same(world.pids, pids, 'the former one goes on');
      world.faults = [];
      world.restart('call');
      await world.pass(1000);
      t.equal(world.succeeded, 1, 'and restarts');
    });
  }
});

for (const who of ['old', 'new'] as const)
  t.test(`where there is no memory for what the ${who} process is to read it reads it later`, async (t) => {
    // What is there when it begins has to be read at once.
    const faults = [2, 4, 5].map((after) => ({ who, call: 'receive', after, what: ENOMEM }) as const);
    await inWorld({ unit: undefined }, faults, async (world) => {
      world.restart('call');
      await world.pass(2000);
      t.match(world.faults, []);
      t.equal(world.succeeded, 1);
      t.match(world.refusals, []);
      t.equal(world.pids.length, 1);
    });
  });

t.test('what a new process has said counts before its end, however late it is read', async (t) => {
  // `current`, before it gives way to a third one.
  await inWorld({ unit: undefined }, [{ who: 'old', call: 'receive', after: 3, what: ENOMEM }], async (world) => {
    world.restart('call');
    await world.pass(20);
    world.restart('call');
    await world.pass(1000);
    t.equal(world.succeeded, 2);
    t.match(world.refusals, []);
    t.equal(world.pids.length, 1);
  });
});

t.test('a new process may be told to end before the former one has heard that it has taken over', async (t) => {
  const unit = { exitType: 'main', notifyAccess: 'main', watchdog: 0 } as const;
  const fates: readonly Fate[] = [{ how: 'serves', takes: 2, progress: [] }];
  await inWorld({ unit, fates, delays: [2] }, [], async (world) => {
    const former = world.current;
    world.restart('reload');
    while (world.current === former) await world.pass(1);
    world.stop();
    await world.settle();
    t.match(former, { hasGivenWay: false, stream: { serves: false } }, 'it has not heard of it, and serves no more');
    t.match(world.current, { isEnding: true, stream: { serves: false } });
    await world.pass(5000);
    t.match(world.pids, []);
  });
});

t.test('when a new process that serves is given up, clients need not wait until it is dead', async (t) => {
  // The old one stands still for so long that both have come: that the new one serves, and that it is too late.
  await inWorld({ delays: [30] }, [{ who: 'old', call: 'send', after: 3, what: 'freeze' }], async (world) => {
    world.restart('call');
    await world.pass(10_000);
    for (const process of world.living) process.raise('SIGCONT');
    await world.pass(100);
    t.match(world.refusals, [{ reason: 'time-out' }]);
    t.equal(world.pids.length, 1);
  });
});
