import { connect, type Fd, sendMessage, unixSocket } from '@sdrx/linux';
import t from 'tap';
import { allocate, ask, given, mapOf } from '../support/allocation.js';
import { type Daemon, startDaemon } from '../support/daemon.js';
import { needsRoot } from '../support/privileges.js';
import { leavingNoTrace } from '../support/traces.js';
import { until } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';
import { within } from '../support/within.js';

const CLIENTS = 1000;
const FIXED_WORKERS = 5;
/** How many more there may be: who asks for help while many connect at once. */
const FLOOD = 12;
/** A generous bound for one answer, in milliseconds. */
const PATIENCE = 2000;

/** Open connections that say what they are told to, and nothing else. */
class Clients implements Disposable {
  readonly #sockets: Fd[] = [];

  connect(daemon: Daemon, bytes = '', fds: readonly number[] = []): void {
    const socket = unixSocket();
    this.#sockets.push(socket);
    connect(socket.number, daemon.socketPath);
    if (bytes !== '') sendMessage(socket.number, Buffer.from(bytes), { fds });
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.close();
  }
}

/** How long one of many calls takes: the one in the middle, and the longest, in milliseconds. */
async function callTimes(daemon: Daemon, calls = 51): Promise<{ readonly median: number; readonly longest: number }> {
  const times: number[] = [];
  for (let call = 0; call < calls; call++) {
    const begin = performance.now();
    const { error } = await ask(daemon, 'User', { uid: 1 });
    if (error !== 'io.systemd.UserDatabase.NoRecordFound') throw new Error(error);
    times.push(performance.now() - begin);
  }
  times.sort((a, b) => a - b);
  return { median: times[calls >> 1] ?? Number.NaN, longest: times.at(-1) ?? Number.NaN };
}

t.test('a thousand clients that connect and say nothing', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  await t.test(
    'keep nobody from an answer, and start no flood of workers',
    leavingNoTrace(daemon, async (t) => {
      const before = await callTimes(daemon);
      using clients = new Clients();
      for (let client = 0; client < CLIENTS; client++) clients.connect(daemon);
      const during = await callTimes(daemon);
      t.comment(
        `a call takes ${before.median.toFixed(2)} ms, with ${CLIENTS} idle clients ${during.median.toFixed(2)} ms`,
      );
      t.ok(during.longest < PATIENCE, `the longest took ${during.longest} ms`);
      t.ok(daemon.children().length <= FIXED_WORKERS + FLOOD, `${daemon.children().length} workers`);

      using namespace = new UserNamespace();
      using fd = namespace.open();
      t.strictSame(await allocate(daemon, fd, 'among-idle'), given('among-idle'));
      t.match(mapOf(namespace), /^0 \d+ 65536$/);
      fd.close();
      namespace[Symbol.dispose]();
    }),
  );
});

t.test('clients that send slowly or nonsense do not disturb others', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  await t.test(
    'who get their answers meanwhile',
    leavingNoTrace(daemon, async (t) => {
      using clients = new Clients();
      using namespace = new UserNamespace();
      using fd = namespace.open();
      const begun = '{"method":"io.systemd.NamespaceResource.AllocateUserRange","parameters":{"na';
      for (let round = 0; round < 4; round++) {
        clients.connect(daemon, begun, [fd.number]);
        clients.connect(daemon, 'GET / HTTP/1.1\r\n\r\n\0');
        clients.connect(daemon, '\0\0\0');
        clients.connect(daemon, '{}\0', [fd.number, fd.number]);
        clients.connect(daemon, `${'['.repeat(50_000)}\0`);
      }
      const answers = await within(
        PATIENCE * 5,
        () => 'no answers',
        Promise.all(Array.from({ length: 20 }, () => ask(daemon, 'User', { uid: 1 }))),
      );
      t.ok(answers.every(({ error }) => error === 'io.systemd.UserDatabase.NoRecordFound'));
      t.strictSame(await allocate(daemon, fd, 'undisturbed'), given('undisturbed'));
      t.equal(daemon.children().length >= FIXED_WORKERS, true);
      t.notMatch(daemon.log(), /killed|failed with|core/, 'no worker fell');
    }),
  );
  await until(() => daemon.children().length >= FIXED_WORKERS);
});
