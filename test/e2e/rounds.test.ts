import { existsSync, readdirSync } from 'node:fs';
import t from 'tap';
import { allocate } from '../support/allocation.js';
import { startDaemon } from '../support/daemon.js';
import { privateDirty } from '../support/private-dirty.js';
import { needsRoot } from '../support/privileges.js';
import { settled } from '../support/traces.js';
import { until } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';

/** Before these, caches fill and code is compiled. */
const WARM_UP = 300;
const ROUNDS = 1000;
const AT_ONCE = 8;
/** How much a process may grow from the end of the warm-up on, in kilobytes; 4 kB a round lost would be as much. */
const GROWTH = 4000;

t.test('allocating and releasing a thousand times', needsRoot, async (t) => {
  const daemon = await startDaemon(t);

  const round = async (index: number): Promise<void> => {
    using namespace = new UserNamespace();
    {
      using fd = namespace.open();
      const reply = await allocate(daemon, fd, `round-${index % 50}`);
      if (reply.error !== undefined) throw new Error(`round ${index}: ${JSON.stringify(reply)}`);
    }
    // The next one with this name finds it dead.
    await namespace.end();
  };
  const rounds = async (count: number): Promise<void> => {
    let next = 0;
    const one = async () => {
      while (next < count) await round(next++);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, one));
    await until(() => readdirSync(daemon.registryDirectory).every((file) => file === 'lock'));
  };
  const processes = () => [daemon.pid, ...daemon.children()];

  await rounds(WARM_UP);
  const rest = await settled(daemon, () => true);
  const workers = daemon.children();
  const memory = new Map(processes().map((pid) => [pid, privateDirty(pid)]));
  await rounds(ROUNDS);

  await t.test('leaves no descriptor, file or process', async (t) => {
    t.strictSame(await settled(daemon, (now) => String(now) === String(rest)), rest);
    t.strictSame(daemon.children(), workers, 'the same workers serve');
    t.notOk(existsSync(`${daemon.registryDirectory}/o0.owns`));
  });

  await t.test('does not make the processes grow', async (t) => {
    for (const [pid, before] of memory) {
      const after = privateDirty(pid);
      t.comment(
        `${pid === daemon.pid ? 'manager' : 'worker'}: ${before} kB before, ${after} kB after ${ROUNDS} rounds`,
      );
      t.ok(after - before < GROWTH, `${pid} grew by ${after - before} kB`);
    }
  });
});
