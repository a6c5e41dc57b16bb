import { openSync } from 'node:fs';
import { Fd, tryLockExclusive } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { allocate, ask } from '../support/allocation.js';
import { LoneWorker } from '../support/lone-worker.js';
import { needsRoot } from '../support/privileges.js';
import { UserNamespace } from '../support/user-namespace.js';

/** Has a worker told to end while a call waits for the registry's lock, as long as it may: 5 s. @returns what comes of the call */
async function endDuringCall(t: Test, signal: 'SIGHUP' | 'SIGTERM'): Promise<unknown> {
  using worker = await LoneWorker.start();
  using lock = new Fd(openSync(`${worker.runtimeDirectory}/nsresource/registry/lock`, 'r+'));
  t.ok(tryLockExclusive(lock.number));
  using namespace = new UserNamespace();
  using fd = namespace.open();
  const answer = allocate(worker, fd, 'waiting').catch((error: Error) => error.message);
  // What is asked later is answered later, or it would be in the same turn.
  await ask(worker, 'User', { uid: 1 });
  worker.child.kill(signal);
  const what = await answer;
  await worker.until(
    () => !worker.isAlive,
    () => 'it does not end',
  );
  return what;
}

t.test('a worker that gives way to others leaves a call all the time that it may take', needsRoot, async (t) => {
  t.match(await endDuringCall(t, 'SIGHUP'), { error: 'io.systemd.System', parameters: { errnoName: 'EBUSY' } });
});

t.test('one that is to end leaves it four seconds', needsRoot, async (t) => {
  t.match(await endDuringCall(t, 'SIGTERM'), /connection closed without a reply/);
});
