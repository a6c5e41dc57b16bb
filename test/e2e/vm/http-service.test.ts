import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { isSystemError } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { ask, HttpClients } from '../../support/http-clients.js';
import { programPath } from '../../support/program-path.js';
import { systemdRelease } from '../../support/systemd-release.js';
import { untilOr } from '../../support/until.js';
import { attempt, isEmulated, needsVirtualMachine, run } from './machine.js';
import { property } from './service.js';

const examples = programPath('../../../../examples', import.meta.url);
const control = programPath('../../../../packages/event/dist/bin/sdrx-control.js', import.meta.url);

const UNITS = '/run/systemd/system';
const SERVICE = 'http-service.service';
const SOCKET = 'http-service.socket';
const PLACE = { port: 8080 };
/** The program as the unit has it, which a test may replace. */
const PROGRAM = '/run/sdrx-http-service.js';

/** Between two requests of a client, in milliseconds: an emulated machine has little time for a start beside more of them. */
const PAUSE = 150;

/** The longest that anything may take in an emulated machine, in milliseconds. */
const LIMIT = 600_000;

/** Until systemd gives up a reload, in seconds. */
const TIMEOUT = isEmulated ? 90 : 20;

const release = systemdRelease();
/** From 253 on systemd reloads by a signal; before, a program does that waits for the outcome. */
const bySignal = release >= 253;

const state = (name: string) => property(name, SERVICE);
const mainPid = () => Number(state('MainPID'));

/** The processes of the service, of which the former ones are there until their connections have ended. */
function processes(): number[] {
  const group = state('ControlGroup');
  if (group === '') return [];
  try {
    const text = readFileSync(`/sys/fs/cgroup${group}/cgroup.procs`, 'ascii');
    return text.split('\n').filter(Boolean).map(Number);
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENODEV')) return [];
    throw error;
  }
}

async function holds(condition: () => boolean, what: string): Promise<void> {
  await untilOr(
    LIMIT,
    condition,
    () => `${what} does not come to hold:\n${attempt('systemctl', 'status', SERVICE).output}`,
    50,
  );
}

/** Puts the example's units in place. */
function install(): void {
  mkdirSync(UNITS, { recursive: true });
  for (const name of [SOCKET, 'http-service-admin.socket']) {
    copyFileSync(`${examples}/http-service/${name}`, `${UNITS}/${name}`);
  }
  const source = bySignal ? 'http-service.service' : 'http-service-252.service';
  const unit = readFileSync(`${examples}/http-service/${source}`, 'utf8')
    .replaceAll('/usr/bin/node', process.execPath)
    // An emulated machine may hold a process up for long.
    .replace(/^WatchdogSec=.*$/m, 'WatchdogSec=900')
    .replace(/^TimeoutStartSec=.*$/m, 'TimeoutStartSec=900')
    .replace('--idle=300', '--idle=300 --ready-within=600')
    .replace('/opt/sdrx/examples/dist/http-service.js', PROGRAM)
    .replace('/opt/sdrx/packages/event/dist/bin/sdrx-control.js', control);
  writeFileSync(`${UNITS}/${SERVICE}`, unit);
  useProgram(`${examples}/dist/http-service.js`);
  set('');
  run('systemctl', 'start', SOCKET);
}

/** Sets more of the service, which it need not be started anew for. */
function set(settings: string): void {
  mkdirSync(`${UNITS}/${SERVICE}.d`, { recursive: true });
  writeFileSync(`${UNITS}/${SERVICE}.d/tests.conf`, `[Service]\n${settings}`);
  run('systemctl', 'daemon-reload');
}

/** Has the program's path lead to another file, at once. */
function useProgram(path: string): void {
  rmSync(`${PROGRAM}.new`, { force: true });
  symlinkSync(path, `${PROGRAM}.new`);
  renameSync(`${PROGRAM}.new`, PROGRAM);
}

/** Runs systemctl beside all else, and tells how it ended. */
async function systemctl(...args: readonly string[]): Promise<number | null> {
  const [status] = await once(spawn('systemctl', args, { stdio: 'inherit' }), 'exit');
  return status;
}

/** Reloads it, and waits until the former process is gone. */
async function reload(t: Test): Promise<void> {
  const former = mainPid();
  t.equal(await systemctl('reload', SERVICE), 0);
  const pid = mainPid();
  t.not(pid, former, `another process is the main one (its status: '${state('StatusText')}')`);
  t.equal(state('SubState'), 'running');
  t.equal(await ask(PLACE, '/pid'), `${pid}\n`);
  await holds(() => processes().length === 1, 'the end of the former process');
}

/** Does something while requests come, of which none may be lost. */
async function underLoad(t: Test, work: () => Promise<void>): Promise<void> {
  const clients = new HttpClients([PLACE], PAUSE);
  try {
    await work();
  } finally {
    await clients.stop();
  }
  t.comment(`${clients.answered} requests answered, the longest in ${Math.round(clients.longest)} ms`);
  // Where clients are held up for seconds, a connection that they keep may end for want of a request.
  t.comment(`${clients.failuresOfKept.length} connections had ended when they were used again`);
  t.strictSame(clients.failures, [], 'no request is lost');
  t.ok(clients.answered > 0);
}

/** Waits for a new process, beside the former main one, which has not taken over yet. */
async function newProcess(former: number): Promise<number> {
  let found: number | undefined;
  const isThere = () => {
    found = processes().find((pid) => !isOld(pid, former));
    return found !== undefined;
  };
  await holds(isThere, 'a new process');
  return found ?? 0;
}

/** Waits until another process is the main one, and serves. */
async function servedAgain(t: Test, former: number): Promise<void> {
  const begin = performance.now();
  const pid = Number(await ask(PLACE, '/pid'));
  t.comment(`served again after ${Math.round(performance.now() - begin)} ms`);
  t.not(pid, former);
  await holds(() => state('SubState') === 'running' && mainPid() === pid, 'that it is the main process');
}

t.test('http-service under systemd', needsVirtualMachine, async (t) => {
  t.comment(`systemd ${release}, reloaded by ${bySignal ? 'a signal' : 'ExecReload='}`);

  await t.test('its socket starts it', async (t) => {
    install();
    t.equal(state('ActiveState'), 'inactive');
    t.equal(await ask(PLACE, '/pid'), `${mainPid()}\n`);
    t.equal(state('ActiveState'), 'active');
  });

  await t.test('a reload brings a new main process and loses no request; a WebSocket is told to come again', (t) =>
    underLoad(t, async () => {
      const webSocket = new WebSocket(`ws://127.0.0.1:${PLACE.port}/upgrade`);
      await once(webSocket, 'open');
      const closed = once(webSocket, 'close');
      await reload(t);
      t.equal((await closed)[0], 1012);
    }),
  );

  await t.test('a program that is broken by now fails the reload, and the old one goes on', async (t) => {
    const former = mainPid();
    writeFileSync('/run/sdrx-broken.js', 'process.exit(3);');
    useProgram('/run/sdrx-broken.js');
    await underLoad(t, async () => {
      const status = await systemctl('reload', SERVICE);
      // The signal has no way to tell: STATUS= does.
      t.equal(status, bySignal ? 0 : 1);
      if (bySignal) t.match(state('StatusText'), /^not restarted: ./);
    });
    t.strictSame([mainPid(), state('SubState')], [former, 'running']);
    useProgram(`${examples}/dist/http-service.js`);
  });

  await t.test('a new process that is killed before it is ready changes nothing', async (t) => {
    const former = mainPid();
    await underLoad(t, async () => {
      const reloaded = systemctl('reload', SERVICE);
      process.kill(await newProcess(former), 'SIGKILL');
      t.equal(await reloaded, bySignal ? 0 : 1);
    });
    t.strictSame([mainPid(), state('SubState')], [former, 'running']);
  });

  await t.test('asked twice within 10 ms it restarts once, and systemd is not left waiting', async () => {
    const former = mainPid();
    process.kill(former, 'SIGHUP');
    process.kill(former, 'SIGHUP');
    await holds(() => mainPid() !== former && state('SubState') === 'running', 'another main process');
    await holds(() => processes().length === 1, 'the end of the former process');
  });

  for (const [name, prepare] of [
    ['after the manager was executed anew', () => run('systemctl', 'daemon-reexec')],
    ['with NotifyAccess=all', () => set('NotifyAccess=all\n')],
    ['with ExitType=cgroup', () => set('ExitType=cgroup\n')],
  ] as const) {
    await t.test(`it is reloaded ${name}`, (t) =>
      underLoad(t, async () => {
        prepare();
        await reload(t);
      }),
    );
  }

  for (const [name, settings] of [
    // A reload whose main process is killed is over for systemd at its time-out only, if the end of the service is that of its cgroup.
    ['NotifyAccess=all and ExitType=cgroup', `NotifyAccess=all\nExitType=cgroup\nTimeoutStartSec=${TIMEOUT}\n`],
    ['the units as they are', ''],
  ] as const) {
    await t.test(`with ${name} the service is there again`, async (t) => {
      set(settings);

      await t.test('after kill -9 of the old process, before the new one is ready', async (t) => {
        const former = mainPid();
        const reloaded = systemctl('reload', SERVICE);
        await newProcess(former);
        process.kill(former, 'SIGKILL');
        await servedAgain(t, former);
        await reloaded;
      });

      await t.test('after kill -9 of the new process, when it is the main one', async (t) => {
        // The old one has something to do for longer than the test waits.
        const held = ask(PLACE, '/slow?ms=600000').catch(() => 'broken off');
        t.equal(await systemctl('reload', SERVICE), 0);
        const former = mainPid();
        // To systemd it is the main process already before the old one knows that it serves, which would serve again.
        const words = () => run('journalctl', '--quiet', '--output=cat', `_PID=${former}`);
        await holds(() => words().includes('is the service'), 'that it is the service');
        const restarts = Number(state('NRestarts'));
        process.kill(former, 'SIGKILL');
        t.equal(await held, 'broken off');
        await holds(() => Number(state('NRestarts')) > restarts, 'systemd to start it by Restart=');
        await servedAgain(t, former);
      });
    });
  }

  await t.test('it stops while it is reloaded, and leaves no process', async (t) => {
    const former = mainPid();
    const reloaded = systemctl('reload', SERVICE);
    await newProcess(former);
    t.equal(await systemctl('stop', SOCKET, SERVICE), 0);
    await reloaded;
    // A command of ExecReload= that is ended counts as a failure to systemd.
    if (bySignal) t.strictSame([state('ActiveState'), state('Result')], ['inactive', 'success']);
    else run('systemctl', 'reset-failed', SERVICE);
    t.strictSame(processes(), []);
  });

  await t.test('it leaves when it is idle, and its socket starts it again', async (t) => {
    set(`ExecStart=\nExecStart=${process.execPath} ${PROGRAM} --idle=0.5\n`);
    run('systemctl', 'start', SOCKET);
    t.equal(await ask(PLACE, '/pid'), `${mainPid()}\n`);
    await holds(() => state('ActiveState') === 'inactive', 'its end');
    t.equal(state('Result'), 'success');
    t.ok(await ask(PLACE, '/pid'));
    run('systemctl', 'stop', SOCKET, SERVICE);
  });
});

/** Whether it is the former main process, or has none of a service's (as the control program of ExecReload=). */
function isOld(pid: number, former: number): boolean {
  if (pid === former || !existsSync(`/proc/${pid}`)) return true;
  return !readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(PROGRAM);
}
