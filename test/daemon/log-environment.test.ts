import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { MESSAGE_IDS } from '@sdrx/daemon';
import t from 'tap';
import { startDaemon } from '../support/daemon.js';
import { FakeJournal } from '../support/fake-journal.js';
import { Folder } from '../support/folder.js';
import { needsRoot } from '../support/privileges.js';
import { settled } from '../support/settled.js';
import { isEarlyWorker, workersOf } from '../support/workers.js';

for (const level of ['debug', '7']) {
  t.test(`SYSTEMD_LOG_LEVEL=${level} brings debug messages`, needsRoot, async (t) => {
    const daemon = await startDaemon(t, { env: { SYSTEMD_LOG_LEVEL: level } });
    await daemon.waitForLog(/started worker/);
  });
}

t.test('without it there are none', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { restriction: 'require' });
  await settled(daemon.pid);
  t.notMatch(daemon.log(), 'started worker');
  t.match(daemon.log(), 'interfaces disabled', 'but there are notices');
});

t.test('SYSTEMD_LOG_LEVEL=warning leaves notices out', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { restriction: 'require', env: { SYSTEMD_LOG_LEVEL: 'warning' } });
  t.notMatch(daemon.log(), 'interfaces disabled');
});

for (const [variable, value] of [
  ['SYSTEMD_LOG_LEVEL', 'loud'],
  ['SYSTEMD_LOG_LEVEL', '8'],
  ['SYSTEMD_LOG_LEVEL', ''],
  ['SYSTEMD_LOG_TARGET', 'paper'],
] as const) {
  t.test(`${variable}=${value} is warned of and ignored`, needsRoot, async (t) => {
    const daemon = await startDaemon(t, { restriction: 'require', env: { [variable]: value } });
    t.match(daemon.log(), new RegExp(`${variable} is no log (level|target), ignored: '${value}'`));
    t.match(daemon.log(), 'interfaces disabled');
  });
}

t.test('SYSTEMD_LOG_TARGET=null leaves only the word that it is ready', needsRoot, async (t) => {
  const daemon = await startDaemon(t, {
    restriction: 'require',
    env: { SYSTEMD_LOG_TARGET: 'null', SYSTEMD_LOG_LEVEL: 'debug' },
  });
  await settled(daemon.pid);
  t.match(daemon.log(), /^nsresourced ready at .*\n$/);
});

t.test('SYSTEMD_LOG_TARGET=auto is the console', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { restriction: 'require', env: { SYSTEMD_LOG_TARGET: 'auto' } });
  t.match(daemon.log(), new RegExp(`^nsresourced\\[${daemon.pid}\\]: userns-restrict not available`));
});

/** Runs the daemon with JOURNAL_STREAM as the manager sets it: the very file that is its standard error. */
const beforeJournal = 'export JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2); exec "$@"';

t.test('a journal that reads the standard error is told by its own protocol, with fields', needsRoot, async (t) => {
  using folder = new Folder();
  const places = ownPlaces(folder);
  using journal = new FakeJournal(folder.join('run', 'systemd', 'journal', 'socket'));
  const daemon = await startDaemon(t, {
    restriction: 'require',
    through: [...places, 'sh', '-c', beforeJournal, 'sh'],
  });
  const { MESSAGE, ...fields } = journal.takeText();
  t.match(MESSAGE, /^userns-restrict not available/);
  const MESSAGE_ID = MESSAGE_IDS.restrictionOff.replaceAll('-', '');
  t.match(fields, { PRIORITY: '5', SYSLOG_IDENTIFIER: 'nsresourced', MESSAGE_ID });
  t.notMatch(daemon.log(), 'not available', 'and nothing is said twice');
});

t.test('where it has no socket it is told the level of each line', needsRoot, async (t) => {
  using folder = new Folder();
  const through = [...ownPlaces(folder), 'sh', '-c', beforeJournal, 'sh'];
  const daemon = await startDaemon(t, { restriction: 'require', through });
  t.match(daemon.log(), /^<5>userns-restrict not available/);
});

for (const stream of ['8:1', '', 'journal', '8:', '99999999999999999999:1']) {
  t.test(`JOURNAL_STREAM=${stream} is not believed: that is another file`, needsRoot, async (t) => {
    const daemon = await startDaemon(t, { restriction: 'require', env: { JOURNAL_STREAM: stream } });
    t.match(daemon.log(), new RegExp(`^nsresourced\\[${daemon.pid}\\]: userns-restrict not available`));
  });
}

t.test('SYSTEMD_LOG_LEVEL may have levels for targets, which workers are told, too', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { env: { SYSTEMD_LOG_LEVEL: 'debug,console:info' } });
  const workers = await workersOf(daemon, 5, 'nsresourcework');
  const worker = workers.find((pid) => !isEarlyWorker(pid));
  await settled(daemon.pid);
  t.notMatch(daemon.log(), /started worker|no log level/);
  t.ok(readFileSync(`/proc/${worker}/environ`, 'utf8').split('\0').includes('SYSTEMD_LOG_LEVEL=7,console:6'));
});

t.test('levels for other targets do not matter here', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { env: { SYSTEMD_LOG_LEVEL: 'kmsg:emerg,journal:0,syslog:err,debug' } });
  await daemon.waitForLog(/started worker/);
});

t.test('the log level has precedence over those of targets', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { restriction: 'require', env: { SYSTEMD_LOG_LEVEL: 'warning,console:debug' } });
  t.notMatch(daemon.log(), 'interfaces disabled');
});

for (const level of ['debug,', 'debug,loud', 'tty:debug', 'console:', 'console:info:debug', 'debug;info']) {
  t.test(`SYSTEMD_LOG_LEVEL=${level} is warned of and ignored`, needsRoot, async (t) => {
    const daemon = await startDaemon(t, { restriction: 'require', env: { SYSTEMD_LOG_LEVEL: level } });
    t.match(daemon.log(), `SYSTEMD_LOG_LEVEL is no log level, ignored: '${level}'`);
    t.match(daemon.log(), 'interfaces disabled');
  });
}

t.test('SYSTEMD_LOG_TARGET=console-prefixed has facility and level before each line', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { restriction: 'require', env: { SYSTEMD_LOG_TARGET: 'console-prefixed' } });
  t.match(daemon.log(), new RegExp(`^<29>nsresourced\\[${daemon.pid}\\]: userns-restrict not available`));
});

/** A /run and a /dev/kmsg of the daemon's own. */
function ownPlaces(folder: Folder): string[] {
  mkdirSync(folder.join('run', 'systemd', 'journal'), { recursive: true });
  writeFileSync(folder.join('kmsg'), '');
  const script = `mount --bind '${folder.join('run')}' /run && mount --bind '${folder.join('kmsg')}' /dev/kmsg && exec "$@"`;
  return ['unshare', '--mount', 'sh', '-c', script, 'sh'];
}

const journalOrKmsg = { SYSTEMD_LOG_TARGET: 'journal-or-kmsg', SYSTEMD_LOG_LEVEL: 'debug' };

t.test('SYSTEMD_LOG_TARGET=journal-or-kmsg is the journal', needsRoot, async (t) => {
  using folder = new Folder();
  const through = ownPlaces(folder);
  using journal = new FakeJournal(folder.join('run', 'systemd', 'journal', 'socket'));
  const daemon = await startDaemon(t, { restriction: 'require', env: journalOrKmsg, through });
  t.match(journal.takeText(), { MESSAGE: /./, PRIORITY: /^\d$/, SYSLOG_IDENTIFIER: 'nsresourced' });
  await daemon.stop();
  t.equal(readFileSync(folder.join('kmsg'), 'utf8'), '');
  t.notMatch(daemon.log(), 'interfaces disabled');
});

t.test('SYSTEMD_LOG_TARGET=journal-or-kmsg is the kernel log where there is no journal', needsRoot, async (t) => {
  using folder = new Folder();
  const through = ownPlaces(folder);
  const daemon = await startDaemon(t, { restriction: 'require', env: journalOrKmsg, through });
  await daemon.stop();
  t.match(readFileSync(folder.join('kmsg'), 'utf8'), new RegExp(`^<5>nsresourced\\[${daemon.pid}\\]: .*`, 'm'));
  t.notMatch(daemon.log(), 'interfaces disabled');
});
