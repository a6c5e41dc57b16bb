import { existsSync, readFileSync } from 'node:fs';
import { pidfdSignalGroup, spawn, WEXITED, waitPidfd } from '@sdrx/linux';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { kernelIs } from '../support/kernel.js';
import { leavingNothing } from '../support/nothing-left.js';
import { untilOr } from '../support/until.js';

/** The longest that anything may take, in milliseconds. */
const LIMIT = 60_000;

function runs(pid: number): boolean {
  return existsSync(`/proc/${pid}`) && !/^State:\s*Z/m.test(readFileSync(`/proc/${pid}/status`, 'ascii'));
}

const skip = kernelIs(6, 9) ? false : 'Linux has it from 6.9 on';

t.test(
  'a group is signalled by its leader, also when the leader is gone',
  { skip },
  leavingNothing(async (t) => {
    using folder = new Folder();
    const path = folder.join('pid');
    using leader = spawn('sh', { args: ['-c', `sleep 1000 & echo $! >${path}`], group: 'process-group' });
    waitPidfd(leader.pidfd.number, WEXITED);
    const sleeper = Number(readFileSync(path, 'ascii'));
    t.equal(pidfdSignalGroup(leader.pidfd.number, 0), true);
    t.ok(runs(sleeper), '0 does nothing');
    t.equal(pidfdSignalGroup(leader.pidfd.number, 'SIGKILL'), true);
    await untilOr(
      LIMIT,
      () => !runs(sleeper),
      () => 'it is not killed',
    );
    const empty = () => !pidfdSignalGroup(leader.pidfd.number, 0);
    await untilOr(LIMIT, empty, () => 'nobody reaps what has ended');
  }),
);

t.test(
  'who leads no group has none to signal',
  { skip },
  leavingNothing((t) => {
    using child = spawn('sleep', { args: ['1000'] });
    t.equal(pidfdSignalGroup(child.pidfd.number, 'SIGKILL'), false);
    child.kill('SIGKILL');
    waitPidfd(child.pidfd.number, WEXITED);
    t.throws(() => pidfdSignalGroup(-1, 0), { code: 'EBADF' });
  }),
);
