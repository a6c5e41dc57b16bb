import { existsSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { notify } from '@sdrx/event';
import { Fd } from '@sdrx/linux';
import t from 'tap';
import { DEEDS, deedsIn, refusedDeeds } from '../../support/deeds.js';
import { systemdRelease } from '../../support/systemd-release.js';
import { untilOr } from '../../support/until.js';
import { startAttempts } from './attempts.js';
import { Callers } from './callers.js';
import { attemptBeside, needsVirtualMachine, run } from './machine.js';
import { RegisteredNamespace, traces } from './namespaces.js';
import { begun, copyPrograms, install, isServed, property, SERVICE, SOCKET } from './service.js';
import { SharedDirectory } from './shared-directory.js';

const RELOADS = 2;

/** The longest that a change may take in an emulated machine, in milliseconds. */
const LIMIT = 600_000;

/** Between two looks by a program, which takes the time from what it looks at, in milliseconds. */
const PAUSE = 300;

const reload = () => attemptBeside('systemctl', 'reload', SERVICE);

async function forgotten(inode: number, which = ''): Promise<void> {
  await untilOr(
    LIMIT,
    () => traces(inode).length === 0,
    () => `of ${which} ${inode} there still is: ${traces(inode).join(', ')}`,
    PAUSE,
  );
}

/** Puts a descriptor into the service's fd store, as a process of its own. */
async function store(name: string, path: string): Promise<void> {
  const own = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'ascii'))?.[1] ?? '';
  const move = (cgroup: string) => writeFileSync(`/sys/fs/cgroup${cgroup}/cgroup.procs`, String(process.pid));
  using fd = new Fd(openSync(path, 'r'));
  const before = process.env.NOTIFY_SOCKET;
  process.env.NOTIFY_SOCKET = '/run/systemd/notify';
  move(property('ControlGroup'));
  try {
    notify({ FDSTORE: 1, FDNAME: name }, [fd.number]);
    await untilOr(
      LIMIT,
      () => property('NFileDescriptorStore') === '1',
      () => `${name} is not stored`,
      PAUSE,
    );
  } finally {
    move(own);
    if (before === undefined) delete process.env.NOTIFY_SOCKET;
    else process.env.NOTIFY_SOCKET = before;
  }
}

/** The processes of the service that are managers, or what is left of them. */
function managers(): string[] {
  const processes = readFileSync(`/sys/fs/cgroup${property('ControlGroup')}/cgroup.procs`, 'ascii')
    .trim()
    .split('\n');
  return processes.filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('/nsresourced\0');
    } catch {
      return false;
    }
  });
}

/** What userdbctl(1) says of a user, again and again; nothing where it is not installed. */
function startLooking(user: string) {
  const failures: string[] = [];
  let isOver = false;
  const looking = (async () => {
    while (!isOver && existsSync('/usr/bin/userdbctl')) {
      const { status, output } = await attemptBeside('userdbctl', 'user', user);
      if (status !== 0) failures.push(output);
      await setTimeout(1000);
    }
  })();
  return {
    async stop() {
      isOver = true;
      await looking;
      return failures;
    },
  };
}

t.test('a reload', needsVirtualMachine, async (t) => {
  const programs = copyPrograms();
  install('sdrx', '', programs);
  run('systemctl', 'start', SOCKET, SERVICE);

  await t.test('loses no call and no death, and what is registered is restricted all the time', async (t) => {
    await begun();
    using lasting = await RegisteredNamespace.create('lasting');
    await store(`userns-${lasting.inode}`, lasting.path);
    using directory = new SharedDirectory(lasting.start);
    const attempts = startAttempts(lasting, directory.path, 0.02);
    const callers = new Callers();
    const looking = startLooking('ns-lasting-0');
    for (let round = 0; round < RELOADS; round++) {
      const former = property('MainPID');
      const mortals = [0, 1, 2].map((index) => RegisteredNamespace.create(`mortal-${round}-${index}`));
      const [early, middle, late] = await Promise.all(mortals);
      early?.[Symbol.dispose]();
      const start = performance.now();
      const reloading = reload();
      const killing = (async () => {
        await setTimeout(Math.random() * 4000);
        middle?.[Symbol.dispose]();
      })();
      t.match(await reloading, { status: 0 });
      t.comment(`reloaded in ${Math.round(performance.now() - start)} ms`);
      late?.[Symbol.dispose]();
      await killing;
      t.not(property('MainPID'), former);
      t.equal(property('ActiveState'), 'active');
      t.match(property('StatusText'), /^Serving on the passed socket, told of dead namespaces by/);
      for (const [which, mortal] of Object.entries({ early, middle, late })) await forgotten(mortal?.inode ?? 0, which);
      // After that: it may get the number of one that has died.
      using after = await RegisteredNamespace.create(`after-${round}`);
      using foreign = new SharedDirectory(after.start);
      t.strictSame(refusedDeeds(after.run(deedsIn(foreign.path)).output), DEEDS);
      await untilOr(
        LIMIT,
        () => !existsSync(`/proc/${former}`),
        () => `process ${former} lives on`,
        PAUSE,
      );
    }
    await callers.stop();
    t.strictSame(callers.lost, []);
    t.comment(`${callers.calls} calls`);
    t.strictSame(await looking.stop(), []);
    const { tried, succeeded } = await attempts.stop();
    t.ok(tried > 100, `${tried} attempts`);
    t.equal(succeeded, 0);
    t.strictSame(traces(lasting.inode).slice(0, 2), ['registry', 'BPF']);
    t.equal(property('NFileDescriptorStore'), '1', 'what is stored stays');
    t.equal(property('NRestarts'), '0');
    const stored = lasting.inode;
    lasting[Symbol.dispose]();
    // Its own descriptor in the store holds it alive until it is given up.
    run('systemctl', 'stop', SERVICE);
    t.equal(property('Result'), 'success');
    run('systemctl', 'start', SERVICE);
    await forgotten(stored);
  });

  await t.test('that fails is told, and leaves everything as it was', async (t) => {
    const pid = property('MainPID');
    const object = `${programs}/userns-restrict.bpf.o`;
    await begun();
    renameSync(object, `${object}.kept`);
    writeFileSync(object, 'this is no object');
    t.match(await reload(), { status: 1 });
    t.equal(property('MainPID'), pid);
    t.equal(property('ActiveState'), 'active');
    t.match(property('StatusText'), /Not reloaded: .*user namespace interfaces would be disabled/);
    await untilOr(
      LIMIT,
      () => String(managers()) === pid,
      () => `managers: ${managers()}`,
      PAUSE,
    );
    const namespace = await RegisteredNamespace.create('afterwards');
    t.strictSame(traces(namespace.inode), ['registry', 'BPF']);
    namespace[Symbol.dispose]();
    await forgotten(namespace.inode);
    renameSync(`${object}.kept`, object);
    t.match(await reload(), { status: 0 });
    t.not(property('MainPID'), pid);
    t.ok(await isServed());
  });

  const has253 = systemdRelease() >= 253 ? {} : { skip: 'systemd 252 has no Type=notify-reload' };
  await t.test('by SIGHUP, as of Type=notify-reload, does the same', has253, async (t) => {
    install('sdrx', 'Type=notify-reload\nExecReload=\n', programs);
    run('systemctl', 'start', SOCKET, SERVICE);
    const callers = new Callers();
    for (let round = 0; round < 2; round++) {
      const pid = property('MainPID');
      t.match(await reload(), { status: 0 });
      t.not(property('MainPID'), pid);
      t.equal(property('SubState'), 'running');
    }
    await callers.stop();
    t.strictSame(callers.lost, []);
    run('systemctl', 'stop', SERVICE);
    t.equal(property('Result'), 'success');
  });
});
