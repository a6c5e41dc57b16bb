import { readFileSync } from 'node:fs';
import t from 'tap';
import { Callers } from '../e2e/vm/callers.js';
import { attemptBeside, needsVirtualMachine, run } from '../e2e/vm/machine.js';
import { RegisteredNamespace, traces } from '../e2e/vm/namespaces.js';
import { copyPrograms, install, property, REGISTRY, SERVICE, SOCKET } from '../e2e/vm/service.js';
import { systemdRelease } from '../support/systemd-release.js';
import { untilOr } from '../support/until.js';

const RELOADS = 100;

/** The manager, its five workers, and the shell of each, by which it starts processes. */
const PROCESSES = 11;

/** The longest that a change may take in an emulated machine, in milliseconds. */
const LIMIT = 150_000;

/** Between two looks, in milliseconds. */
const PAUSE = 300;

t.setTimeout(3 * 3600 * 1000);

/** The processes of the service, by the names of what they run. */
function processes(): string[] {
  const pids = readFileSync(`/sys/fs/cgroup${property('ControlGroup')}/cgroup.procs`, 'ascii')
    .trim()
    .split('\n');
  return pids.map((pid) => readFileSync(`/proc/${pid}/comm`, 'utf8').trim()).sort();
}

const openFds = (pid: string) => run('ls', `/proc/${pid}/fd`).trim().split('\n').length;

t.test(
  `${RELOADS} reloads on systemd ${systemdRelease()} lose no call and no death`,
  needsVirtualMachine,
  async (t) => {
    install('sdrx', '', copyPrograms());
    run('systemctl', 'start', SOCKET, SERVICE);
    using lasting = await RegisteredNamespace.create('lasting');
    const callers = new Callers();
    let before: { processes: string[]; fds: number } | undefined;
    const milliseconds: number[] = [];
    for (let round = 0; round < RELOADS; round++) {
      const former = property('MainPID');
      const mortal = await RegisteredNamespace.create(`mortal-${round}`);
      const start = performance.now();
      const reloading = attemptBeside('systemctl', 'reload', SERVICE);
      mortal[Symbol.dispose]();
      t.match(await reloading, { status: 0 });
      milliseconds.push(performance.now() - start);
      t.not(property('MainPID'), former);
      t.equal(property('ActiveState'), 'active');
      const isOver = () => traces(mortal.inode).length === 0;
      await untilOr(LIMIT, isOver, () => `of ${mortal.inode} there still is: ${traces(mortal.inode)}`, PAUSE);
      await untilOr(
        LIMIT,
        () => processes().length === PROCESSES,
        () => run('ps', '-eo', 'pid,ppid,stat,etimes,args'),
        PAUSE,
      );
      const after = { processes: processes(), fds: openFds(property('MainPID')) };
      before ??= after;
      if (round % 10 === 9) t.comment(`${round + 1} reloads, ${callers.calls} calls, ${after.fds} descriptors`);
    }
    await callers.stop();
    t.strictSame(callers.lost, []);
    milliseconds.sort((a, b) => a - b);
    t.comment(`${callers.calls} calls; a reload took ${Math.round(milliseconds[RELOADS / 2] ?? 0)} ms, the middle one`);
    t.strictSame(traces(lasting.inode), ['registry', 'BPF']);
    t.strictSame({ processes: processes(), fds: openFds(property('MainPID')) }, before, 'nothing is left');
    t.equal(property('NRestarts'), '0');
    t.match(run('ls', REGISTRY), `i${lasting.inode}.userns`);
    run('systemctl', 'stop', SERVICE);
    t.equal(property('Result'), 'success');
  },
);
