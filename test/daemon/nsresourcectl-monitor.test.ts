import { methodRates } from '@sdrx/daemon';
import t from 'tap';
import { allocate } from '../support/allocation.js';
import { UID } from '../support/call-as.js';
import { startDaemon } from '../support/daemon.js';
import { asUser, control, onTerminal, startControl } from '../support/nsresourcectl.js';
import { needsRoot } from '../support/privileges.js';
import { until } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';
import { varlinkCall } from '../support/varlink-call.js';

const columns = (line = '') => line.trim().split(/ +/);

t.test('monitor writes a line each time where there is no terminal', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  using namespace = new UserNamespace();
  using fd = namespace.open();
  await allocate(daemon, fd, 'one');
  const { output, errors, status } = control(daemon, ['monitor', '--count=2', '--interval=0.1']);
  const [heading, first, second, ...rest] = output.split('\n').map(columns);
  t.strictSame(heading, [
    'TIME',
    'NAMESPACES',
    'WORKERS',
    'CONNECTIONS',
    'NEW/S',
    'CALLS',
    'CALLS/S',
    'LATENCY-MS',
    'CPU%',
    'MEMORY-MB',
    'METHODS-MS',
    'SLOW',
  ]);
  const number = /^\d+$/;
  t.match(first, [/^\d\d:\d\d:\d\d$/, '1', /^[1-5]$/, number, '-', number, '-', /^\d+\.\d$/, '-', number]);
  t.match(second, [/^\d\d:\d\d:\d\d$/, '1', /^[1-5]$/, number, number, number, '-', /^\d+\.\d$/, number, number, '-']);
  t.strictSame([rest, errors, status], [[['']], '', 0]);
});

t.test('where the daemon tells metrics, the calls of each method are among them', needsRoot, async (t) => {
  const { runtimeDirectory, stop } = await startDaemon(t);
  await stop();
  const daemon = await startDaemon(t, {
    runtimeDirectory,
    args: [`--report=${runtimeDirectory}/report/io.systemd.NamespaceResource`],
  });
  using monitor = startControl(daemon, ['monitor', '--interval=0.1']);
  const record = { uid: 4_000_000_000, service: 'io.systemd.NamespaceResource' };
  const told = () => /^([^ ]+ +){6}[\d]+ +[\d.]+ .*\bGetUserRecord=\d+\.\d\d/m.test(monitor.output());
  while (!told()) await varlinkCall(daemon.socketPath, 'io.systemd.UserDatabase.GetUserRecord', record);
  // The call that it makes itself is among the others.
  t.match(monitor.output(), /\bother=\d+\.\d\d/);
  t.equal(await monitor.end('SIGINT'), 0);

  const screen = onTerminal(daemon, ['monitor', '--count=3', '--interval=0.1']);
  t.match(screen, /METHOD +CALLS\/S +MEAN-MS/);
  t.match(screen, /other +\d+\.\d +\d+\.\d\d/);
  t.match(control(daemon, ['monitor', '--count=1', '--report=/nonexistent']), { status: 0 });
});

t.test('rates are of what came between two looks', (t) => {
  const times = (entries: Record<string, [number, number]>) =>
    new Map(Object.entries(entries).map(([method, [count, sum]]) => [method, { count, sum }]));
  const before = times({ A: [10, 1], B: [5, 0.5], C: [7, 7] });
  const now = times({ A: [12, 1.1], B: [5, 0.5], C: [2, 0.1], D: [8, 0.4] });
  t.strictSame(
    methodRates(now, before, 2).map(({ method, rate, latency }) => [method, rate, Math.round(latency)]),
    [
      ['D', 4, 50],
      ['A', 1, 50],
    ],
  );
  t.end();
});

t.test('other users are told what they may know', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  const { output, status } = control(daemon, ['monitor', '--count=1'], asUser(UID));
  t.match(columns(output.split('\n')[1]), [/:/, '0', '-', '-', '-', '-', '-', /^\d+\.\d$/, '-', '-', '-']);
  t.equal(status, 0);
});

t.test('on a terminal it draws, and leaves the screen as it was', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  const output = onTerminal(daemon, ['monitor', '--count=3', '--interval=0.1']);
  t.ok(output.startsWith('\x1b[?1049h\x1b[?25l'));
  t.match(output, /workers: [1-5] serving/);
  t.match(output, /workers +[1-5] .*[▁▂▃▄▅▆▇█]{3}/);
  t.ok(output.endsWith('\x1b[?25h\x1b[?1049l'));
});

t.test('it says that the daemon does not answer, and ends when it is told to', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  await daemon.stop();
  using monitor = startControl(daemon, ['monitor', '--interval=0.1']);
  await until(() => / - - no answer to a call/.test(monitor.output()));
  t.equal(await monitor.end('SIGINT'), 0);
});

t.test('a wrong interval is none', async (t) => {
  t.match(control({ runtimeDirectory: '/nonexistent' }, ['monitor', '--interval=0']), {
    status: 2,
    errors: /--interval takes seconds/,
  });
});
