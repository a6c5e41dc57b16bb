import { mock } from 'node:test';
import { EventLoop } from '@sdrx/event';
import { EventFd } from '@sdrx/linux';
import { firstValueFrom } from 'rxjs';
import t from 'tap';
import { within } from '../support/within.js';

/** All that fake timers of whatever make put others in the place of: sinon's replace the members of `performance` and `process`, too. */
const places: readonly (readonly [object, string])[] = [
  ...['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'setImmediate', 'clearImmediate'].map(
    (name) => [globalThis, name] as const,
  ),
  [globalThis, 'queueMicrotask'],
  [globalThis, 'Date'],
  [performance, 'now'],
  [process, 'nextTick'],
  [process, 'hrtime'],
];

/** Replaces everything by what does nothing; returns what puts it back. */
function standStill(): () => void {
  const originals = places.map(([owner, name]) => [owner, name, Object.getOwnPropertyDescriptor(owner, name)] as const);
  for (const [owner, name] of places) {
    Object.defineProperty(owner, name, { value: () => 0, configurable: true, writable: true });
  }
  return () => {
    for (const [owner, name, descriptor] of originals) {
      if (descriptor) Object.defineProperty(owner, name, descriptor);
      else Reflect.deleteProperty(owner, name);
    }
  };
}

/** Uses what of the loop depends on Node's own clock and queues. */
async function useLoop(): Promise<number> {
  using loop = new EventLoop();
  using event = new EventFd(1);
  const finished = loop.run();
  await firstValueFrom(loop.io(event.fd));
  await firstValueFrom(loop.time({ after: 5 }));
  await firstValueFrom(loop.signal('SIGUSR2', { prepare: () => process.kill(process.pid, 'SIGUSR2') }));
  let rest = 100;
  const busy = loop.defer({ repeat: true }).subscribe(() => {
    if (--rest > 0) return;
    busy.unsubscribe();
    loop.exit(7);
  });
  return await finished;
}

t.test("the loop goes on with node:test's mock timers", async (t) => {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'setImmediate', 'Date'] });
  t.equal(await useLoop().finally(() => mock.timers.reset()), 7);
});

t.test('the loop goes on whatever fake timers replace', async (t) => {
  const putBack = standStill();
  t.equal(await useLoop().finally(putBack), 7);
});

t.test('an error that nobody handles surfaces with them, too', async (t) => {
  using loop = new EventLoop();
  const finished = loop.run();
  const caught = new Promise((resolve) => process.once('uncaughtException', resolve));
  const putBack = standStill();
  loop.defer().subscribe(() => {
    throw new Error('of a handler');
  });
  t.match(await caught.finally(putBack), { message: 'of a handler' });
  loop.exit();
  await within(30_000, () => 'the loop does not end', finished);
});
