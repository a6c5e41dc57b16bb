import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { bind, ReceiveBuffer, SIGRTMIN, SOCK_DGRAM, sigqueue, unixSocket } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { ask } from '../support/allocation.js';
import { type Daemon, type DaemonOptions, startDaemon } from '../support/daemon.js';
import { Folder } from '../support/folder.js';
import { needsRoot } from '../support/privileges.js';
import { settled } from '../support/settled.js';
import { until } from '../support/until.js';
import { workerScript } from '../support/worker-script.js';
import { workersOf } from '../support/workers.js';

const COMMAND = SIGRTMIN + 18;
const STATISTICS = 0x301;
const LEVELS = ['emerg', 'alert', 'crit', 'err', 'warning', 'notice', 'info', 'debug'];

/** Sends a command and waits until it is obeyed: what the daemon does not do by then, it does not do. */
async function command(daemon: Daemon, value: number): Promise<void> {
  sigqueue(daemon.pid, COMMAND, value);
  await settled(daemon.pid);
}

/** A daemon that says nothing about its workers. */
async function start(t: Test, options: DaemonOptions = {}): Promise<Daemon> {
  const daemon = await startDaemon(t, { ...options, worker: workerScript(t).path });
  await settled(daemon.pid);
  return daemon;
}

const statistics = (text: string) => text.match(/memory: /g)?.length ?? 0;

LEVELS.forEach((level, number) => {
  t.test(`0x10${number} sets the log level to ${level}, also of workers to come`, needsRoot, async (t) => {
    const daemon = await start(t, { env: { SYSTEMD_LOG_LEVEL: number === 6 ? '7' : '6' } });
    const before = await workersOf(daemon);
    await command(daemon, 0x100 + number);
    daemon.kill('SIGUSR2');
    const added = (await workersOf(daemon, 6)).find((pid) => !before.includes(pid));
    const environment = readFileSync(`/proc/${added}/environ`, 'utf8').split('\0');
    t.ok(environment.includes(`SYSTEMD_LOG_LEVEL=${number}`));
  });
});

t.test('what is less urgent than the level is not logged', needsRoot, async (t) => {
  const daemon = await start(t);
  await command(daemon, 0x105);
  await command(daemon, STATISTICS);
  t.equal(statistics(daemon.log()), 0, 'information is less urgent than a notice');
  await command(daemon, 0x106);
  await command(daemon, STATISTICS);
  await daemon.waitForLog(/memory: /);
  t.equal(statistics(daemon.log()), 1);
});

t.test('0x107 brings debug messages', needsRoot, async (t) => {
  const daemon = await start(t);
  await command(daemon, 0x300);
  await command(daemon, 0x107);
  await daemon.waitForLog(/log level is now debug/);
  t.notMatch(daemon.log(), 'gave memory back');
  await command(daemon, 0x300);
  await daemon.waitForLog(/gave memory back/);
});

t.test('a worker obeys, too', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  const [worker = 0] = await workersOf(daemon, 5, 'nsresourcework');
  // Once it answers, it listens to signals.
  await ask(daemon, 'User', { uid: 1 });
  await settled(worker);
  sigqueue(worker, COMMAND, STATISTICS);
  await daemon.waitForLog(new RegExp(`nsresourcework\\[${worker}\\]: memory: `));
  t.ok(daemon.children().includes(worker), 'and goes on');
});

t.test('0x203 logs nowhere, 0x200 to the console again', needsRoot, async (t) => {
  const daemon = await start(t);
  await command(daemon, 0x203);
  await command(daemon, STATISTICS);
  await command(daemon, 0x200);
  await daemon.waitForLog(/log target is now console/);
  t.equal(statistics(daemon.log()), 0);
  await command(daemon, STATISTICS);
  await daemon.waitForLog(/memory: /);
});

t.test('0x201 logs to the journal', needsRoot, async (t) => {
  using folder = new Folder();
  mkdirSync(folder.join('systemd/journal'), { recursive: true });
  using journal = unixSocket(SOCK_DGRAM);
  bind(journal.number, folder.join('systemd/journal/socket'));
  // A /run of its own for the daemon, in which the journal is ours.
  const through = ['unshare', '--mount', 'sh', '-c', `mount --bind '${folder.path}' /run && exec "$@"`, 'sh'];
  const daemon = await start(t, { through });
  await command(daemon, 0x201);
  await command(daemon, STATISTICS);
  t.equal(statistics(daemon.log()), 0, 'not to the console any more');

  const buffer = new ReceiveBuffer(4096);
  const messages: string[] = [];
  for (;;) {
    const count = buffer.receive(journal.number, []);
    if (count === undefined) break;
    messages.push(buffer.bytes.toString('utf8', 0, count));
  }
  t.equal(messages.length, 2);
  t.match(messages[1], /^MESSAGE=memory: rss \d+ kB.*\nPRIORITY=6\nSYSLOG_IDENTIFIER=nsresourced\n$/);
  await daemon.stop();
});

t.test('a journal that is not there loses no message', needsRoot, async (t) => {
  using folder = new Folder();
  const through = ['unshare', '--mount', 'sh', '-c', `mount --bind '${folder.path}' /run && exec "$@"`, 'sh'];
  const daemon = await start(t, { through });
  await command(daemon, 0x201);
  await command(daemon, STATISTICS);
  await daemon.waitForLog(/memory: .* \(not to the journal: ENOENT/);
  await daemon.stop();
});

t.test('0x202 logs to the kernel log', needsRoot, async (t) => {
  using folder = new Folder();
  const kmsg = folder.join('kmsg');
  writeFileSync(kmsg, '');
  const through = ['unshare', '--mount', 'sh', '-c', `mount --bind '${kmsg}' /dev/kmsg && exec "$@"`, 'sh'];
  const daemon = await start(t, { through });
  await command(daemon, 0x202);
  await command(daemon, STATISTICS);
  t.equal(statistics(daemon.log()), 0, 'not to the console any more');
  t.match(readFileSync(kmsg, 'utf8').split('\n')[1], new RegExp(`^<6>nsresourced\\[${daemon.pid}\\]: memory: rss`));
  await daemon.stop();
});

t.test('0x300 collects garbage', needsRoot, async (t) => {
  const daemon = await start(t, { env: { SYSTEMD_LOG_LEVEL: 'debug' } });
  sigqueue(daemon.pid, COMMAND, 0x300);
  await daemon.waitForLog(/gave memory back/);
});

t.test('0x301 logs how much memory is used', needsRoot, async (t) => {
  const daemon = await start(t);
  sigqueue(daemon.pid, COMMAND, STATISTICS);
  const [, rss = '0'] = await daemon.waitForLog(/memory: rss (\d+) kB, heapTotal \d+ kB, heapUsed \d+ kB/);
  t.ok(Number(rss) > 10_000 && Number(rss) < 1_000_000);
});

for (const value of [0, 0xff, 0x108, 0x1ff, 0x204, 0x302, 0x7fff_ffff, -1]) {
  const hex = `0x${(value >>> 0).toString(16)}`;
  t.test(`${hex} is no command, which is worth a notice`, needsRoot, async (t) => {
    const daemon = await start(t, { env: { SYSTEMD_LOG_LEVEL: 'notice' } });
    await command(daemon, value);
    await daemon.waitForLog(new RegExp(`process ${process.pid} carries the unknown command ${hex}, ignored`));
  });
}

t.test('without a value it carries no command, which is worth a notice', needsRoot, async (t) => {
  const daemon = await start(t, { env: { SYSTEMD_LOG_LEVEL: 'notice' } });
  process.kill(daemon.pid, COMMAND);
  await daemon.waitForLog(new RegExp(`SIGRTMIN\\+18 from process ${process.pid} carries no command, ignored`));
});

t.test('a burst of commands is obeyed to the last one', needsRoot, async (t) => {
  const daemon = await start(t);
  for (let count = 0; count < 200; count++) sigqueue(daemon.pid, COMMAND, STATISTICS);
  await until(() => statistics(daemon.log()) === 200);
  await settled(daemon.pid);
  t.equal(statistics(daemon.log()), 200);
});
