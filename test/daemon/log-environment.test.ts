import t from 'tap';
import { startDaemon } from '../support/daemon.js';
import { needsRoot } from '../support/privileges.js';
import { settled } from '../support/settled.js';

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

t.test('a journal that reads the standard error is told the level of each line', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { restriction: 'require', env: { JOURNAL_STREAM: '8:1' } });
  t.match(daemon.log(), /^<5>userns-restrict not available/);
});
