import { connect as connectStream } from 'node:net';
import t from 'tap';
import { callAs, UID } from '../support/call-as.js';
import { startDaemon } from '../support/daemon.js';
import { control } from '../support/nsresourcectl.js';
import { needsRoot } from '../support/privileges.js';
import { until } from '../support/until.js';
import { varlinkCall } from '../support/varlink-call.js';

const SERVICE = 'io.systemd.service';

t.test(
  'anybody may ask whether the daemon runs and what it logs, and root alone for the rest',
  needsRoot,
  async (t) => {
    const daemon = await startDaemon(t, { env: { SYSTEMD_LOG_LEVEL: 'notice' } });
    const asked = (method: string, parameters = {}) =>
      callAs(UID, daemon.socketPath, `${SERVICE}.${method}`, parameters);
    t.strictSame(asked('Ping'), { parameters: {} });
    t.strictSame(asked('GetLogLevel'), { parameters: { level: 5 } });
    const refused = { error: 'org.varlink.service.PermissionDenied', parameters: {} };
    for (const method of ['Reload', 'GetEnvironment']) t.strictSame(asked(method), refused);
    t.strictSame(asked('SetLogLevel', { level: 7 }), refused);
    t.strictSame(asked('GetLogLevel'), { parameters: { level: 5 } });

    const { parameters } = await varlinkCall(daemon.socketPath, `${SERVICE}.GetEnvironment`);
    t.match(parameters?.environment, /(^|,)SYSTEMD_LOG_LEVEL=/);
  },
);

t.test('the level is told to the manager and to all workers', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  const set = (parameters: object) => varlinkCall(daemon.socketPath, `${SERVICE}.SetLogLevel`, parameters);
  t.strictSame(await set({ level: 7 }), { parameters: {} });
  await daemon.waitForLog(/nsresourced\[\d+\]: log level is now debug/);
  await daemon.waitForLog(/(nsresourcework\[\d+\]: log level is now debug\n.*){5}/s);
  const wrong = { error: 'org.varlink.service.InvalidParameter', parameters: { parameter: 'level' } };
  for (const parameters of [{}, { level: 8 }, { level: -1 }, { level: null }, { level: 'debug' }])
    t.strictSame(await set(parameters), wrong);
});

t.test('nsresourcectl says which level it is', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  const level = () => control(daemon, ['log-level']);
  t.strictSame(level(), { output: 'info\n', errors: '', status: 0 });
  control(daemon, ['log-level', 'warning']);
  // Each call may be answered by another worker.
  await until(() => Array.from({ length: 5 }, level).every(({ output }) => output === 'warning\n'));
  await daemon.stop();
  t.match(level(), { status: 1, errors: /no daemon listens at / });
});

t.test('a reload is asked for, and answered when another manager is there', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  // One that stays is answered by the worker of before, which ends then.
  const kept = connectStream(daemon.socketPath);
  t.strictSame(await varlinkCall(daemon.socketPath, `${SERVICE}.Reload`), { parameters: {} });
  await daemon.waitForLog(/process \d+ has taken over/);
  t.strictSame(await varlinkCall(daemon.socketPath, `${SERVICE}.Ping`), { parameters: {} });
  kept.destroy();
});
