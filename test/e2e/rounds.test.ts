import { existsSync, readdirSync } from 'node:fs';
import { SIGRTMIN, sigqueue } from '@sdrx/linux';
import t from 'tap';
import { allocate } from '../support/allocation.js';
import { startDaemon } from '../support/daemon.js';
import { privateDirty } from '../support/private-dirty.js';
import { needsRoot } from '../support/privileges.js';
import { settled as settledProcess } from '../support/settled.js';
import { settled } from '../support/traces.js';
import { until } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';

/** Before these, caches fill and code is compiled. */
const WARM_UP = 300;
const ROUNDS = 1000;
const AT_ONCE = 8;

/** Has a process collect garbage. */
const COMMAND = SIGRTMIN + 18;
const GIVE_BACK = 0x300;

/**
 * How much a process may grow from the end of the warm-up on, in kilobytes; 16 kB a round lost would be as much. V8 compiles more of
 * what is busy, and gives back what it has collected late: one worker that does most of the rounds grows by 8 MB, and by no more in
 * four times as many.
 */
const GROWTH = 16_000;

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

  /** The memory of each process, when it has given back what it can. */
  const memory = async () => {
    for (const pid of processes()) sigqueue(pid, COMMAND, GIVE_BACK);
    for (const pid of processes()) await settledProcess(pid);
    return new Map(processes().map((pid) => [pid, privateDirty(pid)]));
  };

  await rounds(WARM_UP);
  const rest = await settled(daemon, () => true);
  const workers = daemon.children();
  const memoryBefore = await memory();
  await rounds(ROUNDS);

  await t.test('leaves no descriptor, file or process', async (t) => {
    t.strictSame(await settled(daemon, (now) => String(now) === String(rest)), rest);
    t.strictSame(daemon.children(), workers, 'the same workers serve');
    t.notOk(existsSync(`${daemon.registryDirectory}/o0.owns`));
  });

  await t.test('does not make the processes grow', async (t) => {
    const memoryAfter = await memory();
    for (const [pid, before] of memoryBefore) {
      const after = memoryAfter.get(pid) ?? 0;
      t.comment(
        `${pid === daemon.pid ? 'manager' : 'worker'}: ${before} kB before, ${after} kB after ${ROUNDS} rounds`,
      );
      t.ok(after - before < GROWTH, `${pid} grew by ${after - before} kB`);
    }
  });
});
