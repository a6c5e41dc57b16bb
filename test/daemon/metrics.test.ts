import { existsSync, readFileSync, statSync } from 'node:fs';
import { type ClientRequestArgs, request } from 'node:http';
import { METRIC_FAMILIES, prometheusText } from '@sdrx/daemon';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { allocate, given } from '../support/allocation.js';
import { type Daemon, launchDaemon, startDaemon } from '../support/daemon.js';
import { ask } from '../support/http-clients.js';
import { needsRoot } from '../support/privileges.js';
import { programPath } from '../support/program-path.js';
import { type ParsedFamily, parsePrometheus, sampleOf } from '../support/prometheus.js';
import { reloadBySignal } from '../support/reload.js';
import { runProgram } from '../support/run-program.js';
import { until } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';
import { varlinkCall } from '../support/varlink-call.js';
import { workersOf } from '../support/workers.js';

const RECORD = 'io.systemd.UserDatabase.GetUserRecord';
const UNKNOWN = { uid: 4_000_000_000, service: 'io.systemd.NamespaceResource' };

let sockets = 0;

interface Metered {
  readonly daemon: Daemon;
  readonly socketPath: string;
  read(): Promise<Map<string, ParsedFamily>>;
}

/** The longest that a daemon may take to find out that a namespace has ended, in milliseconds. */
const LIMIT = 60_000;

/** Starts a daemon that serves metrics, and waits until it does. */
async function startMetered(t: Test, args: readonly string[] = []): Promise<Metered> {
  const socketPath = `/tmp/sdrx-test-${process.pid}-metrics-${sockets++}`;
  const daemon = await startDaemon(t, { args: [`--metrics=unix:${socketPath}`, ...args] });
  // The path is there a moment before anybody listens.
  while ((await ask({ socketPath }, '/metrics').catch(() => undefined)) === undefined);
  return { daemon, socketPath, read: async () => parsePrometheus(await ask({ socketPath }, '/metrics')) };
}

/** Waits until a metric has a value. */
async function comes({ read }: Metered, key: string, value: number): Promise<void> {
  const end = performance.now() + LIMIT;
  let seen = sampleOf(await read(), key);
  while (seen !== value && performance.now() < end) seen = sampleOf(await read(), key);
  if (seen !== value) throw new Error(`${key} is ${seen}, not ${value}`);
}

t.test('every family is there, with its type, its description and the labels that it says', needsRoot, async (t) => {
  const { read } = await startMetered(t);
  const families = await read();
  t.strictSame(
    [...families.keys()],
    Object.values(METRIC_FAMILIES).map(({ name }) => name),
  );
  for (const { name, type, description, labels } of Object.values(METRIC_FAMILIES)) {
    const family = families.get(name);
    t.match(family, { type, help: description });
    t.ok((family?.samples.size ?? 0) > 0, `${name} has a value`);
    for (const key of family?.samples.keys() ?? []) {
      const named = [...key.matchAll(/(\w+)="/g)].map(([, label]) => label).filter((label) => label !== 'le');
      t.strictSame(named, labels);
    }
  }
  t.equal(sampleOf(families, 'nsresourced_user_namespace_interfaces'), 1);
  t.equal(sampleOf(families, 'nsresourced_userns_restrict'), 0);
});

t.test(
  'calls are counted by method and outcome, and how long they take, also of workers that are gone',
  needsRoot,
  async (t) => {
    const metered = await startMetered(t);
    const { daemon, read } = metered;
    await workersOf(daemon, 5, 'nsresourcework');
    const before = await read();
    const failed = 'nsresourced_calls_total{method="GetUserRecord",outcome="error"}';
    t.equal(sampleOf(before, failed), 0);
    for (let count = 0; count < 20; count++) await varlinkCall(daemon.socketPath, RECORD, UNKNOWN);
    await varlinkCall(daemon.socketPath, 'org.varlink.service.GetInfo');
    await comes(metered, failed, 20);
    await comes(metered, 'nsresourced_calls_total{method="other",outcome="ok"}', 1);
    await comes(metered, 'nsresourced_call_duration_seconds_count{method="GetUserRecord"}', 20);
    const families = await read();
    const sum = sampleOf(families, 'nsresourced_call_duration_seconds_sum{method="GetUserRecord"}') ?? -1;
    t.ok(sum > 0 && sum < 20 * 60);
    const buckets = [...(families.get('nsresourced_call_duration_seconds')?.samples ?? [])]
      .filter(([key]) => key.includes('_bucket{method="GetUserRecord"'))
      .map(([, value]) => value);
    t.strictSame(
      buckets,
      [...buckets].sort((a, b) => a - b),
      'each bucket has those below it, too',
    );
    t.equal(buckets.at(-1), 20);

    for (const worker of await workersOf(daemon, 5, 'nsresourcework')) process.kill(worker, 'SIGABRT');
    await comes(metered, 'nsresourced_workers_failed_total', 5);
    t.equal(sampleOf(await read(), failed), 20);
    t.ok((sampleOf(await read(), 'nsresourced_connections_accepted_total') ?? 0) >= 21);
    await comes(metered, 'nsresourced_workers_started_total', 10);
  },
);

t.test('namespaces are counted, from their registration to their release', needsRoot, async (t) => {
  const metered = await startMetered(t);
  const namespace = new UserNamespace();
  {
    using fd = namespace.open();
    t.match(await allocate(metered.daemon, fd, 'counted'), given('counted'));
  }
  await comes(metered, 'nsresourced_namespaces', 1);
  await comes(metered, 'nsresourced_calls_total{method="AllocateUserRange",outcome="ok"}', 1);
  namespace[Symbol.dispose]();
  await comes(metered, 'nsresourced_namespaces_released_total', 1);
  await comes(metered, 'nsresourced_namespaces', 0);
});

t.test('what clients are refused is counted by the limit', needsRoot, async (t) => {
  const metered = await startMetered(t, ['--max-message-size=1K']);
  await varlinkCall(metered.daemon.socketPath, RECORD, { userName: 'x'.repeat(2000) }).catch(() => undefined);
  await comes(metered, 'nsresourced_refusals_total{reason="messageSize"}', 1);
});

/** The status of an answer, and its body. */
function answerOf(options: ClientRequestArgs): Promise<{ status: number | undefined; text: string }> {
  return new Promise((resolve, reject) => {
    request(options, async (response) => {
      const text = (await response.setEncoding('utf8').toArray()).join('');
      resolve({ status: response.statusCode, text });
    })
      .on('error', reject)
      .end();
  });
}

t.test('nothing else is served, and the socket is root’s unless it is said otherwise', needsRoot, async (t) => {
  const { socketPath } = await startMetered(t);
  t.equal(statSync(socketPath).mode & 0o777, 0o600);
  t.match(await answerOf({ socketPath, path: '/' }), { status: 404 });
  t.match(await answerOf({ socketPath, path: '/metrics', method: 'POST' }), { status: 405 });
  t.match(await answerOf({ socketPath, path: '/metrics', method: 'HEAD' }), { status: 200, text: '' });
  t.match(await answerOf({ socketPath, path: '/metrics?name[]=x' }), { status: 200 });
  const open = await startMetered(t, ['--metrics-mode=0666']);
  t.equal(statSync(open.socketPath).mode & 0o777, 0o666);
});

t.test('it goes with the daemon, and without --metrics nothing is counted', needsRoot, async (t) => {
  const { daemon, socketPath } = await startMetered(t);
  const { runtimeDirectory } = daemon;
  t.ok(existsSync(`${runtimeDirectory}/nsresource/metrics.${daemon.pid}`));
  t.match(await daemon.stop(), { code: 0 });
  t.notOk(existsSync(socketPath));
  t.notOk(existsSync(`${runtimeDirectory}/nsresource/metrics.${daemon.pid}`));
  const plain = await startDaemon(t);
  t.notOk(existsSync(`${plain.runtimeDirectory}/nsresource/metrics.${plain.pid}`));
});

t.test('by TCP it is served to this machine', needsRoot, async (t) => {
  const port = 20_000 + (process.pid % 10_000);
  await startDaemon(t, { args: [`--metrics=tcp:127.0.0.1:${port}`] });
  let text: string | undefined;
  while (text === undefined) text = await ask({ port }, '/metrics').catch(() => undefined);
  t.ok(parsePrometheus(text).has('nsresourced_build_info'));
});

t.test('a manager that takes over serves them, too', needsRoot, async (t) => {
  const { daemon, socketPath } = await startMetered(t);
  const successor = await reloadBySignal(daemon);
  const started = () =>
    ask({ socketPath }, '/metrics')
      .then(parsePrometheus)
      .catch(() => undefined);
  let families = await started();
  while (families === undefined) families = await started();
  // The old manager may have had the last word.
  await until(() => existsSync(`${daemon.runtimeDirectory}/nsresource/metrics.${successor}`));
  t.ok(families.has('nsresourced_build_info'));
  t.notMatch(daemon.log(), 'metrics are not served');
});

t.test('a place that can not be had is warned of, and the daemon serves all the same', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { args: ['--metrics=unix:/nowhere/at/all'] });
  await daemon.waitForLog(/metrics are not served: ENOENT/);
  t.match(await varlinkCall(daemon.socketPath, 'org.varlink.service.GetInfo'), { parameters: { vendor: 'sdrx' } });
});

const WRONG = [
  '0.0.0.0:9100',
  'tcp:0.0.0.0:9100',
  'tcp:*:9100',
  'tcp:127.0.0.1:0',
  'udp:127.0.0.1:9100',
  'unix:@x',
  'unix:x',
  '',
];

for (const place of WRONG) {
  t.test(`--metrics=${place} is refused`, needsRoot, async (t) => {
    const daemon = launchDaemon(t, { args: [`--metrics=${place}`] });
    t.match(await daemon.exited, { code: 2 });
    await daemon.gone;
    t.match(daemon.log(), `--metrics takes unix:/PATH, tcp:127.0.0.1:PORT or tcp:[::1]:PORT, not '${place}'`);
  });
}

t.test('whatever labels and descriptions have in them, the text is well formed', (t) => {
  const family = { name: 'a_total', type: 'counter', labels: ['x', 'y'] } as const;
  const text = fc.string({ unit: fc.constantFrom('a', '"', '\\', '\n', '{', ' ', 'é'), minLength: 1 });
  const property = fc.property(text, text, text, fc.double({ noNaN: true }), (description, x, y, value) => {
    const samples = [{ labels: [x, y], value }];
    const parsed = parsePrometheus(prometheusText([[{ ...family, description: `d${description}` }, samples]]));
    return [...(parsed.get('a_total')?.samples.values() ?? [])].every(
      (read) => Object.is(read, value) || read === value,
    );
  });
  fc.assert(property);
  t.end();
});

const hasPromtool = runProgram('sh', ['-c', 'command -v promtool']).exit.status === 0;

t.test(
  'promtool finds nothing wrong with them',
  hasPromtool ? needsRoot : { skip: 'there is no promtool: it is in the package prometheus' },
  async (t) => {
    const { socketPath } = await startMetered(t);
    const text = await ask({ socketPath }, '/metrics');
    const { output, exit } = runProgram('sh', ['-c', 'printf %s "$0" | promtool check metrics 2>&1', text]);
    t.equal(output, '');
    t.match(exit, { status: 0 });
  },
);

t.test('docs/metrics.md lists them as they are', (t) => {
  const page = readFileSync(programPath('../../../docs/metrics.md', import.meta.url), 'utf8');
  const rows = Object.values(METRIC_FAMILIES).map(({ name, type, labels, description }) => {
    const named = labels.map((label) => `\`${label}\``).join(', ');
    return `| \`${name}\` | ${type} | ${named} | ${description} |`;
  });
  t.strictSame(page.match(/^\| `(?:nsresourced|process)_.*$/gm), rows);
  t.end();
});

t.test('each query of the dashboard asks for a metric that there is, and each metric is shown', (t) => {
  const dashboard = JSON.parse(
    readFileSync(programPath('../../../docs/nsresourced-dashboard.json', import.meta.url), 'utf8'),
  );
  const families = Object.values(METRIC_FAMILIES);
  const known = families.flatMap(({ name, type }) => (type === 'histogram' ? [`${name}_bucket`] : [name]));
  const shown = new Set<string>();
  for (const { title, targets } of dashboard.panels) {
    for (const { expr } of targets) {
      const names: string[] = expr.match(/\b(?:nsresourced|process)_\w+/g) ?? [];
      t.ok(names.length > 0, title);
      for (const name of names) {
        t.ok(known.includes(name), name);
        shown.add(name);
      }
      const labels = [...expr.matchAll(/by \((\w+)\)|(\w+)=~?"/g)].map(([, by, equals]) => by ?? equals);
      const allowed = ['instance', 'job', 'le', ...families.flatMap((family) => family.labels)];
      for (const label of labels) t.ok(allowed.includes(label ?? ''), label);
    }
  }
  t.strictSame([...shown].sort(), [...known].sort());
  t.end();
});
