import { existsSync } from 'node:fs';
import t from 'tap';
import { startDaemon } from '../support/daemon.js';
import { needsTestingSystemd, testingSystemdOutput } from '../support/testing-systemd.js';
import { until } from '../support/until.js';

const NAME = 'io.systemd.NamespaceResource';

t.test(
  'systemd-report collects the metrics of the daemon, varlinkctl asks for its log level',
  needsTestingSystemd,
  async (t) => {
    const { runtimeDirectory, stop } = await startDaemon(t);
    await stop();
    const report = `${runtimeDirectory}/report/${NAME}`;
    await startDaemon(t, { runtimeDirectory, args: [`--report=${report}`] });
    await until(() => existsSync(report));
    const output = (...command: readonly string[]) => testingSystemdOutput(runtimeDirectory, ...command);
    const systemdReport = ['/usr/lib/systemd/systemd-report', '--json=short'];
    const metrics = await output(...systemdReport, 'metrics', NAME);
    t.match(metrics, `{"name":"${NAME}.namespaces","value":0}`);
    t.match(metrics, `"fields":{"method":"AllocateUserRange","outcome":"ok"}`);
    t.match(
      await output(...systemdReport, 'describe', NAME),
      `"name":"${NAME}.callsTotal","description":"Calls that were answered, by method and outcome","type":"counter"`,
    );
    const level = await output(
      'varlinkctl',
      'call',
      `unix:/run/systemd/${NAME}`,
      'io.systemd.service.GetLogLevel',
      '{}',
    );
    t.strictSame(JSON.parse(level), { level: 6 });
  },
);
