import { readdirSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { isSystemError } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { allocate, ask, mapOf } from '../support/allocation.js';
import { Attack } from '../support/attack.js';
import { ATTACKS, type AttackName } from '../support/attack-scripts.js';
import { UID } from '../support/call-as.js';
import { type Daemon, startDaemon } from '../support/daemon.js';
import { needsRoot } from '../support/privileges.js';
import { leavingNoTrace } from '../support/traces.js';
import { untilOr } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';
import { within } from '../support/within.js';

/** What others do while an attack goes on, again and again for this time, in milliseconds. */
const DURATION = 3000;
const LOOK_UPS = 10;

/** The longest that one of their calls may take, in milliseconds, on a machine of which an attack has most. */
const PATIENCE = 5000;

/** The most that one user may have said in the log, in lines a second. */
const LINES = 1000;

/** How long it may take until nothing of an attack is left, in milliseconds. */
const LIMIT = 60_000;

/** That of one test, in milliseconds: an attack has most of the machine. */
const TIMEOUT = 180_000;

/** Calls of another user: none of them fails, or takes long. */
class Others {
  readonly times: number[] = [];
  allocations = 0;
  readonly #t: Test;
  readonly #daemon: Daemon;

  constructor(t: Test, daemon: Daemon) {
    this.#t = t;
    this.#daemon = daemon;
  }

  async goOn(): Promise<void> {
    for (const end = performance.now() + DURATION; performance.now() < end; ) await this.#round();
    this.#t.ok(this.allocations > 0);
    this.times.sort((a, b) => a - b);
    const longest = this.times.at(-1) ?? 0;
    this.#t.comment(
      `${this.times.length} calls, ${this.allocations} of them allocations: median ${this.times[this.times.length >> 1]?.toFixed(1)} ms, longest ${longest.toFixed(1)} ms`,
    );
  }

  async #round(): Promise<void> {
    for (let call = 0; call < LOOK_UPS; call++) {
      const { error } = await this.#timed(() => ask(this.#daemon, 'User', { uid: 1 }));
      if (error !== 'io.systemd.UserDatabase.NoRecordFound') this.#t.fail(`a look-up is answered ${error}`);
    }
    using namespace = new UserNamespace();
    using fd = namespace.open();
    const { error } = await this.#timed(() => allocate(this.#daemon, fd, `victim-${this.allocations++}`));
    if (error !== undefined) this.#t.fail(`an allocation is answered ${error}`);
    else if (!/^0 \d+ 65536$/.test(mapOf(namespace))) this.#t.fail('a namespace has no ids');
  }

  async #timed<T>(call: () => Promise<T>): Promise<T> {
    const begin = performance.now();
    const complaint = () => `no answer within ${PATIENCE} ms\n${this.#daemon.log().slice(-2000)}`;
    const reply = await within(PATIENCE, complaint, patiently(call));
    this.times.push(performance.now() - begin);
    return reply;
  }
}

/** Waits for room in the listening queue, as connect(2) does by itself where it may block. */
async function patiently<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!isSystemError(error, 'EAGAIN')) throw error;
      await setTimeout(1);
    }
  }
}

/** A daemon under attack, that serves others meanwhile, and of which nothing is left in the end. */
async function withstand(
  t: Test,
  name: AttackName,
  more: (t: Test, daemon: Daemon, attack: Attack) => Promise<void> = async () => {},
): Promise<void> {
  const daemon = await startDaemon(t);
  const workers = daemon.children();
  await t.test(
    'while others are served',
    leavingNoTrace(daemon, async (t) => {
      const attack = await Attack.start(t, daemon, ATTACKS[name]);
      await new Others(t, daemon).goOn();
      await more(t, daemon, attack);
      await attack.end();
      const registered = () => readdirSync(daemon.registryDirectory).filter((file) => file.startsWith('i'));
      await untilOr(
        LIMIT,
        () => registered().length === 0,
        () => `registered still: ${registered().length}\n${daemon.log().slice(-2000)}`,
      );
    }),
  );
  t.notMatch(daemon.log(), /was killed by|dumped core|failed with exit status/, 'no worker fell');
  t.ok(workers.every((pid) => daemon.children().includes(pid)) || daemon.children().length >= 5);
  await daemon.stop();
}

for (const name of [
  'messages that never end, with 253 descriptors each',
  'messages of 16 MB of empty objects',
  'a storm of connections',
  'stopped processes within its namespaces',
  'namespaces that die while they are asked for',
] as const) {
  t.test(name, { ...needsRoot, timeout: TIMEOUT }, (t) => withstand(t, name));
}

t.test('300 registrations', { ...needsRoot, timeout: TIMEOUT }, (t) =>
  withstand(t, '300 registrations', async (t, daemon, attack) => {
    t.equal(await attack.line(LIMIT * 2), 'io.systemd.System', 'those beyond 256 are refused');
    const owned = readdirSync(`${daemon.registryDirectory}/o${UID}.owns`);
    t.equal(owned.length, 256);
    // Their death is nobody else's concern either.
    const others = new Others(t, daemon);
    await Promise.all([attack.end(), others.goOn()]);
  }),
);

t.test('a flood of lines for the log', { ...needsRoot, timeout: TIMEOUT }, (t) => {
  const begin = performance.now();
  return withstand(t, 'a flood of lines for the log', async (t, daemon) => {
    const seconds = (performance.now() - begin) / 1000;
    const lines = daemon.log().split('\n').length;
    t.comment(`${lines} lines in ${seconds.toFixed(1)} s`);
    t.ok(lines < LINES * seconds, `${lines} lines in ${seconds.toFixed(1)} s`);
    t.notMatch(daemon.log(), '\x1b');
  });
});
