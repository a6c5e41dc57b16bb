import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { Registry } from '@sdrx/daemon';
import { EventLoop } from '@sdrx/event';
import { lastValueFrom, tap } from 'rxjs';
import t, { type Test } from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';
import { programPath } from '../support/program-path.js';

const child = programPath('registry-lock-child.js', import.meta.url);

/** Runs a body on a loop, with a registry. */
async function onLoop(body: (loop: EventLoop, registry: Registry, folder: Folder) => Promise<void>): Promise<void> {
  using folder = new Folder();
  using loop = new EventLoop();
  using registry = Registry.open(folder.path);
  const running = loop.run();
  await body(loop, registry, folder);
  loop.exit();
  await running;
}

/** Another process that holds the lock until it is told to give it back, or to end. */
async function holder(t: Test, folder: Folder): Promise<ChildProcess> {
  const process = fork(child, ['hold', folder.path]);
  t.teardown(() => process.kill('SIGKILL'));
  await once(process, 'message');
  return process;
}

/** Whether another open file of the lock, as another process has, would get it. */
function isFree(folder: Folder): boolean {
  using other = Registry.open(folder.path);
  let free = true;
  other.whileWaiting = () => {
    free = false;
    throw new Error('held');
  };
  try {
    other.lock()[Symbol.dispose]();
  } catch {
    return free;
  }
  return free;
}

t.test(
  'it is held while the subscriber deals with it, and given back then',
  leavingNothing((t) =>
    onLoop(async (loop, registry, folder) => {
      const seen: boolean[] = [];
      await lastValueFrom(registry.acquire(loop).pipe(tap(() => seen.push(isFree(folder)))));
      seen.push(isFree(folder));
      t.strictSame(seen, [false, true]);
    }),
  ),
);

t.test('it is given back when it is disposed of, and when the subscriber throws', (t) =>
  onLoop(async (loop, registry, folder) => {
    await lastValueFrom(
      registry.acquire(loop).pipe(
        tap((lock) => {
          lock[Symbol.dispose]();
          t.ok(isFree(folder));
        }),
      ),
    );
    const failing = registry.acquire(loop).pipe(
      tap(() => {
        throw new Error('of the subscriber');
      }),
    );
    await t.rejects(lastValueFrom(failing), /of the subscriber/);
    t.ok(isFree(folder));
  }),
);

t.test('locks nest within one that is held', (t) =>
  onLoop(async (loop, registry, folder) => {
    let inner = false;
    await lastValueFrom(
      registry.acquire(loop).pipe(
        tap(() => {
          registry.lock()[Symbol.dispose]();
          registry.acquire(loop).subscribe(() => {
            inner = true;
          });
          t.ok(inner, 'without waiting');
          t.notOk(isFree(folder), 'the outer one is still held');
        }),
      ),
    );
  }),
);

t.test(
  'a loop that ends while it waits keeps no other loop from the lock',
  leavingNothing(async (t) => {
    using folder = new Folder();
    using holder = Registry.open(folder.path);
    using registry = Registry.open(folder.path);
    const held = holder.lock();
    {
      using ended = new EventLoop();
      const running = ended.run();
      registry.acquire(ended).subscribe(() => t.fail('it was held'));
      ended.exit();
      await running;
    }
    using loop = new EventLoop();
    const running = loop.run();
    const acquired = lastValueFrom(registry.acquire(loop).pipe(tap(() => t.pass('it is acquired'))));
    held[Symbol.dispose]();
    await acquired;
    loop.exit();
    await running;
  }),
);

t.test('while another process has it the loop goes on, and it comes as soon as it is free', async (t) => {
  await onLoop(async (loop, registry, folder) => {
    const other = await holder(t, folder);
    let got = false;
    const waited = lastValueFrom(registry.acquire(loop, { limit: 60_000 }).pipe(tap(() => (got = true))));
    let turns = 0;
    while (turns < 10) {
      await lastValueFrom(loop.time({ after: 5 }));
      turns++;
    }
    t.equal(got, false);
    other.send('give back');
    await waited;
    t.equal(got, true);
  });
});

t.test('those who wait in one process get it in the order they came', (t) =>
  onLoop(async (loop, registry, folder) => {
    const other = await holder(t, folder);
    const order: number[] = [];
    const all = [1, 2, 3, 4].map((n) => lastValueFrom(registry.acquire(loop).pipe(tap(() => order.push(n)))));
    // Who gives up is passed over.
    const given = registry.acquire(loop).subscribe(() => order.push(5));
    const last = lastValueFrom(registry.acquire(loop).pipe(tap(() => order.push(6))));
    given.unsubscribe();
    other.send('give back');
    await Promise.all([...all, last]);
    t.strictSame(order, [1, 2, 3, 4, 6]);
  }),
);

t.test('after the limit it is EBUSY, and who comes later may have more luck', (t) =>
  onLoop(async (loop, registry, folder) => {
    const other = await holder(t, folder);
    await t.rejects(lastValueFrom(registry.acquire(loop, { limit: 20 })), { code: 'EBUSY', syscall: 'flock' });
    other.kill('SIGKILL');
    await lastValueFrom(registry.acquire(loop, { limit: 60_000 }));
  }),
);

t.test('one that is only viewed has none', (t) =>
  onLoop(async (loop, _registry, folder) => {
    await t.rejects(lastValueFrom(Registry.view(folder.path).acquire(loop)), { code: 'EROFS' });
  }),
);

t.test('of eight processes that want it all the time each gets it, and none two at once', async (t) => {
  using folder = new Folder();
  const children = Array.from({ length: 8 }, () => fork(child, ['contend', folder.path]));
  t.teardown(() => {
    for (const process of children) process.kill('SIGKILL');
  });
  const counts = await Promise.all(
    children.map(async (process) => {
      const [count] = await once(process, 'message');
      return Number(count);
    }),
  );
  // A child ends with 40 of them, and throws if another one was in between.
  t.strictSame(
    counts,
    children.map(() => 40),
  );
});
