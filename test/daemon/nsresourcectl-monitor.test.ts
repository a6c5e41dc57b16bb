import t from 'tap';
import { allocate } from '../support/allocation.js';
import { UID } from '../support/call-as.js';
import { startDaemon } from '../support/daemon.js';
import { asUser, control, onTerminal, startControl } from '../support/nsresourcectl.js';
import { needsRoot } from '../support/privileges.js';
import { until } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';

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
    'LATENCY-MS',
    'CPU%',
    'MEMORY-MB',
    'SLOW',
  ]);
  const number = /^\d+$/;
  t.match(first, [/^\d\d:\d\d:\d\d$/, '1', /^[1-5]$/, number, '-', number, /^\d+\.\d$/, '-', number]);
  t.match(second, [/^\d\d:\d\d:\d\d$/, '1', /^[1-5]$/, number, number, number, /^\d+\.\d$/, number, number]);
  t.strictSame([rest, errors, status], [[['']], '', 0]);
});

t.test('other users are told what they may know', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  const { output, status } = control(daemon, ['monitor', '--count=1'], asUser(UID));
  t.match(columns(output.split('\n')[1]), [/:/, '0', '-', '-', '-', '-', /^\d+\.\d$/, '-', '-']);
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
  await until(() => / - no answer to a call/.test(monitor.output()));
  t.equal(await monitor.end('SIGINT'), 0);
});

t.test('a wrong interval is none', async (t) => {
  t.match(control({ runtimeDirectory: '/nonexistent' }, ['monitor', '--interval=0']), {
    status: 2,
    errors: /--interval takes seconds/,
  });
});
