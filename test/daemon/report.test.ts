import { statSync } from 'node:fs';
import { METRIC_FAMILIES } from '@sdrx/daemon';
import { EventLoop } from '@sdrx/event';
import { bind, type Fd, listen, unixSocket } from '@sdrx/linux';
import { connect, metricsInterface, type VarlinkClient } from '@sdrx/varlink';
import { lastValueFrom, type Observable, toArray } from 'rxjs';
import t, { type Test } from 'tap';
import { callAs, UID } from '../support/call-as.js';
import { type Daemon, launchDaemon, startDaemon } from '../support/daemon.js';
import { Folder } from '../support/folder.js';
import { needsRoot } from '../support/privileges.js';
import { reloadBySignal } from '../support/reload.js';
import { until } from '../support/until.js';
import { varlinkCall } from '../support/varlink-call.js';

const { List, Describe } = metricsInterface.methods;
const NAME = 'io.systemd.NamespaceResource';

/** All that a client is told. */
async function ask<T>(
  path: string,
  replies: (client: VarlinkClient) => Observable<{ readonly parameters: T }>,
): Promise<T[]> {
  const loop = new EventLoop();
  const finished = loop.run();
  try {
    using client = connect(loop, path);
    const all = await lastValueFrom(replies(client).pipe(toArray()));
    return all.map(({ parameters }) => parameters);
  } finally {
    loop.exit();
    await finished;
  }
}

const list = (path: string) => ask(path, (client) => client.more(List, {}));
const describe = (path: string) => ask(path, (client) => client.more(Describe, {}));

/** What is told of calls of one method that went well. */
async function calls(path: string, method: string): Promise<unknown> {
  const metrics = await list(path);
  const found = metrics.find(
    ({ name, fields }) => name === `${NAME}.callsTotal` && fields?.method === method && fields.outcome === 'ok',
  );
  return found?.value;
}

/** When the manager was started that tells. */
async function startTime(path: string): Promise<unknown> {
  return (await list(path)).find(({ name }) => name === `${NAME}.processStartTimeSeconds`)?.value;
}

/** A socket that listens at a path. */
function listening(path: string): Fd {
  const socket = unixSocket();
  bind(socket.number, path);
  listen(socket.number);
  return socket;
}

/** Starts a daemon that tells metrics, and waits until it does. */
async function startTelling(t: Test): Promise<{ daemon: Daemon; path: string }> {
  const folder = new Folder();
  t.teardown(() => folder[Symbol.dispose]());
  const path = folder.join('report', NAME);
  const daemon = await startDaemon(t, { args: [`--report=${path}`] });
  await served(path);
  return { daemon, path };
}

async function served(path: string): Promise<void> {
  let isServed = false;
  await until(() => {
    void describe(path).then(
      () => {
        isServed = true;
      },
      () => {},
    );
    return isServed;
  }, 20);
}

t.test('the metrics are told by Varlink, under names that begin with the socket', needsRoot, async (t) => {
  const { daemon, path } = await startTelling(t);
  t.equal(statSync(path).mode & 0o777, 0o600);
  const families = await describe(path);
  t.equal(families.length, Object.keys(METRIC_FAMILIES).length);
  for (const { name } of families) t.match(name, new RegExp(`^${NAME}\\.[a-z][A-Za-z]*$`));
  t.match(families, [{ name: `${NAME}.buildInfo`, type: 'gauge' }]);
  const named = (name: string) => families.find((family) => family.name === `${NAME}.${name}`);
  t.match(named('callDurationSeconds'), { type: 'object', description: METRIC_FAMILIES.callDuration.description });
  t.match(named('processOpenFds'), { type: 'gauge' });

  await varlinkCall(daemon.socketPath, 'org.varlink.service.GetInfo');
  await varlinkCall(daemon.socketPath, 'org.varlink.service.GetInfo');
  t.equal(await calls(path, 'other'), 2);
  const metrics = await list(path);
  t.strictSame(new Set(metrics.map(({ name }) => name)), new Set(families.map(({ name }) => name)));
  const durations = metrics.find(
    ({ name, fields }) => name.endsWith('.callDurationSeconds') && fields?.method === 'other',
  );
  t.match(durations?.value, { count: 2, sum: Number, upTo: [{ bound: 0.0005, count: Number }] });
  t.match(await varlinkCall(path, List.name), { error: 'org.varlink.service.ExpectedMore' });
  t.match(await varlinkCall(path, 'org.varlink.service.GetInfo'), { parameters: { product: 'nsresourced' } });
});

t.test('it is for root unless the mode says otherwise', needsRoot, async (t) => {
  const { daemon, path } = await startTelling(t);
  t.throws(() => callAs(UID, path, Describe.name, {}));
  await daemon.stop();
  t.throws(() => statSync(path), { code: 'ENOENT' });
  const other = await startDaemon(t, { args: [`--report=${path}`, '--metrics-mode=0666'] });
  await served(path);
  t.equal(statSync(path).mode & 0o777, 0o666);
  await other.stop();
});

t.test('a socket that was passed for metrics stays through reloads', needsRoot, async (t) => {
  using folder = new Folder();
  const [path, reported] = [folder.join('socket'), folder.join(NAME)];
  const passed = [listening(reported), listening(path)];
  const env = { LISTEN_FDNAMES: 'varlink-metrics:varlink' };
  const daemon = await startDaemon(t, { passed: passed.map(({ number }) => number), env });
  for (const fd of passed) fd.close();
  await varlinkCall(path, 'org.varlink.service.GetInfo');
  t.equal(await calls(reported, 'other'), 1);
  for (let reload = 0; reload < 2; reload++) {
    const before = await startTime(reported);
    await reloadBySignal(daemon);
    // The former manager may tell for a moment longer.
    while ((await startTime(reported)) === before);
  }
  t.ok((await list(reported)).length > 20);
});

t.test('two sockets for metrics are one too many', needsRoot, async (t) => {
  using folder = new Folder();
  const passed = [listening(folder.join('one')), listening(folder.join('other'))];
  const env = { LISTEN_FDNAMES: 'varlink-metrics:varlink-metrics' };
  const daemon = launchDaemon(t, { passed: passed.map(({ number }) => number), env });
  for (const fd of passed) fd.close();
  t.match(await daemon.exited, { code: 1 });
  t.match(daemon.log(), /ENOTUNIQ/);
});
