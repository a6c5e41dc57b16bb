import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { O_PATH } from '@sdrx/linux';
import t from 'tap';
import { DEEDS, deedsIn, refusedDeeds } from '../../support/deeds.js';
import { systemdRelease } from '../../support/systemd-release.js';
import { untilOr } from '../../support/until.js';
import { startAttempts } from './attempts.js';
import { attempt, needsVirtualMachine, run } from './machine.js';
import { RegisteredNamespace, traces } from './namespaces.js';
import { install, isServed, property, REGISTRY, SERVICE, SOCKET, withEach } from './service.js';
import { SharedDirectory } from './shared-directory.js';

/** The longest that a change of the service's state may take in an emulated machine, in milliseconds. */
const LIMIT = 600_000;

/** Between two looks by a program, which takes the time from what it looks at, in milliseconds. */
const PAUSE = 300;

async function state(name: string, holds: (value: string) => boolean): Promise<void> {
  await untilOr(
    LIMIT,
    () => holds(property(name)),
    () => `${name} is ${property(name)}`,
    PAUSE,
  );
}

/** What the service has written to the journal. */
function journal(): string {
  run('journalctl', '--sync');
  return run('journalctl', '--unit', SERVICE, '--output=cat', '--boot');
}

withEach(t, 'life under systemd', needsVirtualMachine, async (t) => {
  await t.test(
    'namespaces outlive it, whether it is restarted or killed, and are restricted all the time',
    async (t) => {
      using namespace = await RegisteredNamespace.create('lasting');
      await namespace.addMount('/run/lock');
      await namespace.addMount('/run/user', O_PATH);
      const before = traces(namespace.inode);
      t.strictSame(before, ['registry', 'BPF']);
      // Ours sends no mounts. systemd 257 does, but in a way that the service manager refuses.
      t.equal(property('NFileDescriptorStore'), '0');
      using directory = new SharedDirectory(namespace.start);
      const attempts = startAttempts(namespace, directory.path);

      run('systemctl', 'restart', SERVICE);
      t.strictSame(traces(namespace.inode), before);
      const pid = property('MainPID');
      run('systemctl', 'kill', '--kill-whom=all', '--signal=KILL', SERVICE);
      await state('MainPID', (value) => value !== pid);
      await state('ActiveState', (value) => value !== 'deactivating');
      run('systemctl', 'start', SERVICE);
      t.strictSame(traces(namespace.inode), before);
      t.ok(await isServed());

      const { tried, succeeded } = await attempts.stop();
      t.ok(tried > 100, `${tried} attempts`);
      t.equal(succeeded, 0);
      t.strictSame(refusedDeeds(namespace.run(deedsIn(directory.path)).output), DEEDS);
    },
  );

  await t.test('it stops clean', async (t) => {
    run('systemctl', 'stop', SERVICE);
    t.equal(property('Result'), 'success');
    t.equal(property('ExecMainStatus'), '0');
    t.equal(property('NFileDescriptorStore'), '0');
  });
});

t.test('life of our daemon under systemd', needsVirtualMachine, async (t) => {
  install('sdrx', 'WatchdogSec=45s\n');
  run('systemctl', 'start', SOCKET, SERVICE);
  await t.test('commands of SIGRTMIN+18 show in the journal', async (t) => {
    const command = (value: number) =>
      run('systemctl', 'kill', '--kill-whom=main', '--signal=SIGRTMIN+18', `--kill-value=${value}`, SERVICE);
    command(0x301);
    await untilOr(LIMIT, () => /memory/.test(journal()) && /heapUsed \d+ kB/.test(journal()), journal, PAUSE);
    command(0x107);
    await untilOr(LIMIT, () => /debug/.test(journal()), journal, PAUSE);
    command(0x1ff);
    await untilOr(LIMIT, () => /unknown|511|0x1ff/.test(journal()), journal, PAUSE);
    t.equal(property('ActiveState'), 'active');
  });

  await t.test('memory pressure comes from its control group', async (t) => {
    const pid = property('MainPID');
    const watch = run('sh', '-c', `tr '\\0' '\\n' < /proc/${pid}/environ`);
    t.match(watch, /^MEMORY_PRESSURE_WATCH=\/sys\/fs\/cgroup\/.*memory\.pressure$/m);
    const fds = run('sh', '-c', `readlink /proc/${pid}/fd/*`);
    t.match(fds, /memory\.pressure/);

    await t.test('and is answered when it is felt', async (t) => {
      const cgroup = `/sys/fs/cgroup${property('ControlGroup')}`;
      const limit = (value: string | number) =>
        run('systemctl', 'set-property', '--runtime', SERVICE, `MemoryHigh=${value}`);
      const answers = () => journal().split('memory is short').length;
      const stalled = () =>
        Number(/^some .*total=(\d+)/m.exec(readFileSync(`${cgroup}/memory.pressure`, 'ascii'))?.[1]);
      const before = { answers: answers(), stalled: stalled() };

      // A process in its control group wants more than there is for all of them, and waits; so would the daemon.
      limit(Number(property('MemoryCurrent')) + 10_000_000);
      const want = `my @kept; push @kept, 'x' x (1_000_000 + $_) for 1 .. 300; sleep`;
      const greedy = spawn('sh', ['-ec', `echo $$ > ${cgroup}/cgroup.procs; exec perl -e "$0"`, want], {
        stdio: 'inherit',
      });
      const ended = once(greedy, 'exit');
      try {
        const isShort = () => stalled() - before.stalled > 1_000_000;
        await untilOr(LIMIT, isShort, () => `nothing waits: ${property('MemoryCurrent')} bytes`);
      } finally {
        greedy.kill('SIGKILL');
        await ended;
        limit('infinity');
      }
      const isAnswered = () => answers() > before.answers;
      await untilOr(LIMIT, isAnswered, () => `no answer in ${journal()}`, 500);
      t.ok(await isServed());
    });
  });

  await t.test('a main process that is stopped is killed by the watchdog, and comes back', async (t) => {
    using namespace = await RegisteredNamespace.create('forgotten');
    t.strictSame(traces(namespace.inode), ['registry', 'BPF']);
    rmSync(REGISTRY, { recursive: true });
    const pid = property('MainPID');
    run('systemctl', 'kill', '--kill-whom=main', '--signal=STOP', SERVICE);
    await state('NRestarts', (count) => count !== '0');
    await state('ActiveState', (value) => value === 'active');
    t.not(property('MainPID'), pid);
    t.match(journal(), /[Ww]atchdog/);
    t.ok(await isServed());

    await t.test('without what the kernel restricts and the registry has not', async () => {
      await untilOr(
        LIMIT,
        () => traces(namespace.inode).length === 0,
        () => `still there: ${traces(namespace.inode)}`,
        PAUSE,
      );
    });
  });
});

t.test("our unit is not more exposed than systemd's, but for what it explains", needsVirtualMachine, async (t) => {
  const findings = (provider: 'systemd' | 'sdrx') => {
    install(provider);
    const text = attempt('systemd-analyze', 'security', '--json=short', SERVICE).output;
    const all: readonly { json_field: string; set: boolean; exposure: string | null }[] = JSON.parse(text);
    return new Set(all.filter(({ exposure }) => exposure !== null).map(({ json_field }) => json_field));
  };
  const theirs = findings('systemd');
  const worse = [...findings('sdrx')].filter((field) => !theirs.has(field)).sort();
  // systemd 258 makes taps, too, and since then its unit lets it have the device.
  const taps = systemdRelease() >= 258 ? [] : ['DeviceAllow', 'PrivateDevices'];
  t.strictSame(worse, [...taps, 'MemoryDenyWriteExecute', 'ProtectControlGroups'].sort());
});
