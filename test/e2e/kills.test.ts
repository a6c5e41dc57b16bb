import { readdirSync } from 'node:fs';
import { setTimeout, setImmediate as turn } from 'node:timers/promises';
import { isDead, Registry } from '@sdrx/daemon';
import { connect, type Fd, isSystemError, namespaceId, namespaceInode, ReceiveBuffer, unixSocket } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { faultsOf } from '../daemon/registry-check.js';
import { allocate, ask, given, kernelMap, mapOf } from '../support/allocation.js';
import { type Daemon, startDaemon } from '../support/daemon.js';
import { Folder } from '../support/folder.js';
import { isRunning } from '../support/is-running.js';
import { needsRoot } from '../support/privileges.js';
import { openFiles, settled } from '../support/traces.js';
import { until, untilOr } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';

const KILLS = 300;
const CLIENTS = 8;
/** The longest time from one kill to the next, in milliseconds: a worker needs about that long to start. */
const PAUSE = 80;
/** How many namespaces there are at a time; the ids of the others are free. */
const LIVING = 40;
/** How long one namespace after another may wait for its ids while daemons come and go, in milliseconds. */
const LIMIT = 60_000;

/** Kills a process that may be gone already. */
function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (!isSystemError(error, 'ESRCH')) throw error;
  }
}

/** Whether the other end has closed a connection on which nothing is expected. */
function isClosed(socket: Fd): boolean {
  try {
    return new ReceiveBuffer(1).receive(socket.number, []) === 0;
  } catch (error) {
    if (isSystemError(error, 'ECONNRESET')) return true;
    throw error;
  }
}

const connections = (worker: number) => openFiles(worker).filter((file) => file === 'socket').length;

t.test(
  'when a worker is killed, its clients see their connections closed and the others nothing',
  needsRoot,
  async (t) => {
    const daemon = await startDaemon(t);
    await settled(daemon, () => true);
    const [first = daemon.pid] = daemon.children();
    const idle = connections(first);
    const total = () => daemon.children().reduce((sum, pid) => sum + connections(pid) - idle, 0);
    const sockets = Array.from({ length: 20 }, () => unixSocket());
    t.teardown(() => {
      for (const socket of sockets) socket.close();
    });
    for (const socket of sockets) connect(socket.number, daemon.socketPath);
    await until(() => total() === sockets.length);
    const victim = daemon.children().find((pid) => connections(pid) > idle);
    if (victim === undefined) throw new Error('no worker has a client');
    const clients = connections(victim) - idle;
    kill(victim);

    await untilOr(
      LIMIT,
      () => sockets.filter(isClosed).length === clients,
      () => 'connections left open',
    );
    await until(() => daemon.children().length >= 5 && !daemon.children().includes(victim));
    t.equal(sockets.filter(isClosed).length, clients, 'the others are open still');
    t.equal((await ask(daemon, 'User', { uid: 1 })).error, 'io.systemd.UserDatabase.NoRecordFound');
    await daemon.waitForLog(new RegExp(`worker ${victim} was killed by SIGKILL`));
  },
);

t.test('when the manager is killed, its workers end, and the next one serves what it left', needsRoot, async (t) => {
  using folder = new Folder();
  const daemon = await startDaemon(t, { runtimeDirectory: folder.path });
  await settled(daemon, () => true);
  using staying = new UserNamespace();
  using dying = new UserNamespace();
  {
    using stayingFd = staying.open();
    using dyingFd = dying.open();
    await allocate(daemon, stayingFd, 'staying');
    await allocate(daemon, dyingFd, 'dying');
  }
  const workers = daemon.children();
  daemon.kill('SIGKILL');
  await daemon.gone;
  // They have closed the log already, but not yet ended altogether.
  await untilOr(
    LIMIT,
    () => !workers.some(isRunning),
    () => `workers that live on: ${workers.filter(isRunning)}`,
  );
  await dying.end();

  const next = await startDaemon(t, { runtimeDirectory: folder.path });
  const [, start] = mapOf(staying).split(' ');
  t.match(await ask(next, 'User', { userName: 'ns-staying-0' }), { parameters: { record: { uid: Number(start) } } });
  t.match((await ask(next, 'User', { userName: 'ns-dying-0' })).error, /NoRecordFound$/);
  using namespace = new UserNamespace();
  using fd = namespace.open();
  t.strictSame(await allocate(next, fd, 'dying'), given('dying'));
  await next.stop();
});

/** Numbers from 0 up to 1 that a seed determines. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b_79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Daemons that are killed again and again, in one runtime directory, and clients who go on all the same. */
class Turmoil {
  readonly living: UserNamespace[] = [];
  /** The newest daemon, once it accepts connections. */
  #serving: Promise<Daemon>;
  /** All that were ever made. */
  readonly #made: { readonly inode: number; readonly id: bigint | undefined }[] = [];
  kills = 0;
  managers = 0;
  allocations = 0;
  interrupted = 0;
  #over = false;

  constructor(
    readonly t: Test,
    readonly runtimeDirectory: string,
    readonly random: () => number,
  ) {
    this.#serving = this.#start();
  }

  /** @returns the daemon that is left */
  async kill(): Promise<Daemon> {
    try {
      let daemon = await this.#serving;
      for (; this.kills < KILLS; this.kills++) {
        await setTimeout(this.random() * PAUSE);
        const workers = daemon.children();
        if (workers.length === 0 || this.random() < 0.05) {
          daemon.kill('SIGKILL');
          this.#serving = daemon.gone.then(() => this.#start());
          daemon = await this.#serving;
          this.managers++;
        } else {
          const victim = workers[Math.floor(this.random() * workers.length)];
          if (victim !== undefined) kill(victim);
        }
      }
      return daemon;
    } finally {
      this.#over = true;
    }
  }

  async client(number: number): Promise<void> {
    for (let index = 0; !this.#over; index++) {
      // Making a namespace blocks: without this turn nobody else would ever have one.
      await turn();
      const namespace = new UserNamespace();
      this.living.push(namespace);
      using fd = namespace.open();
      this.#made.push({ inode: namespaceInode(fd.number), id: namespaceId(fd.number) });
      try {
        const reply = await allocate(await this.#serving, fd, `kill-${number}-${index}`);
        if (reply.error !== undefined) this.t.fail(`a client got ${JSON.stringify(reply)}`);
        else if (mapOf(namespace) === '') this.t.fail('a client was told that it has ids, but it has none');
        this.allocations++;
      } catch {
        // The connection was closed, or the manager had just been killed.
        this.interrupted++;
      }
      if (this.living.length > LIVING) this.endOne();
    }
  }

  /** The namespaces that something still uses, such as a process of a killed worker; none where there are no ids. */
  left(): number[] {
    return this.#made.flatMap(({ inode, id }) => (id !== undefined && isDead(id, inode) === false ? [inode] : []));
  }

  #start(): Promise<Daemon> {
    return startDaemon(this.t, { runtimeDirectory: this.runtimeDirectory });
  }

  /** Ends one of the namespaces, whose ids may be given to another then. */
  endOne(): void {
    const [namespace] = this.living.splice(Math.floor(this.random() * this.living.length), 1);
    namespace?.[Symbol.dispose]();
  }
}

/** What is wrong with the ids that the kernel gives to these namespaces: none may be in two of them. */
function sharedIds(namespaces: readonly UserNamespace[], kind: 'uid_map' | 'gid_map'): string[] {
  const ranges = namespaces
    .map(({ child }) => kernelMap(child.pid, kind))
    .filter((map) => map !== '')
    .map((map) => map.split(' ').map(Number))
    .map(([, start = 0, size = 0]) => ({ start, end: start + size }))
    .sort((a, b) => a.start - b.start);
  return ranges.flatMap(({ start }, index) =>
    start < (ranges[index - 1]?.end ?? 0) ? [`${kind}: ${start} twice`] : [],
  );
}

t.test(
  `${KILLS} kills at random moments, of workers and managers, give no id twice and leave nothing`,
  needsRoot,
  async (t) => {
    const seed = Math.floor(Math.random() * 2 ** 32);
    t.comment(`seed ${seed}`);
    using folder = new Folder();
    const turmoil = new Turmoil(t, folder.path, random(seed));
    t.teardown(() => {
      for (const namespace of turmoil.living) namespace[Symbol.dispose]();
    });
    const clients = Array.from({ length: CLIENTS }, (_, number) => turmoil.client(number));
    const [daemon] = await Promise.all([turmoil.kill(), ...clients]);
    const { living } = turmoil;
    t.comment(
      `${turmoil.allocations} allocations, ${turmoil.interrupted} interrupted, ${turmoil.managers} managers killed`,
    );

    t.strictSame(sharedIds(living, 'uid_map'), [], 'no uid in two namespaces');
    t.strictSame(sharedIds(living, 'gid_map'), [], 'no gid in two namespaces');
    using registry = Registry.open(folder.path);
    const inodeOf = (namespace: UserNamespace) => {
      using fd = namespace.open();
      return namespaceInode(fd.number);
    };
    for (const namespace of living) {
      const [, start] = kernelMap(namespace.child.pid, 'uid_map').split(' ');
      if (start === undefined) continue;
      t.equal(registry.byInode(inodeOf(namespace))?.range?.start, Number(start), 'who has ids is registered with them');
    }

    const alive = new Set(living.map(inodeOf));
    const dead = () => registry.inodes().filter((inode) => !alive.has(inode));
    await untilOr(
      LIMIT,
      () => dead().length === 0,
      () => `entries of dead namespaces: ${dead()}\n${daemon.log()}`,
    );
    await settled(daemon, () => true);
    await daemon.stop();

    const last = await startDaemon(t, { runtimeDirectory: folder.path });
    t.strictSame(faultsOf(registry, last.registryDirectory), [], 'the registry is whole');
    // Dead only once no process and no descriptor that was left anywhere has it.
    await Promise.all(living.map((namespace) => namespace.end()));
    await untilOr(
      LIMIT,
      () => registry.inodes().length === 0,
      () => `registered still: ${registry.inodes()}\n${last.log()}`,
    );
    await untilOr(
      LIMIT,
      () => String(readdirSync(last.registryDirectory)) === 'lock',
      () => `left behind: ${readdirSync(last.registryDirectory)}`,
    );
    const ids = () => readdirSync(`${folder.path}/nsresource/namespace-ids`);
    await untilOr(
      LIMIT,
      () => ids().length === 0,
      () => `not forgotten: ${ids()}`,
    );
    t.strictSame(turmoil.left(), [], 'no process and no descriptor of one that was killed holds a namespace');
    await last.stop();
  },
);
