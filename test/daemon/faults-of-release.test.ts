import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdirSync, openSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { hostName, type NamespaceEntry, Registry, rememberNamespace } from '@sdrx/daemon';
import { Fd, IN_OPEN, Inotify, Links, namespaceInode } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { keptFiles } from '../support/allocation.js';
import { cgroupId, cgroupRoot, needsCgroups } from '../support/cgroup.js';
import { type Daemon, startDaemon } from '../support/daemon.js';
import { difference } from '../support/difference.js';
import {
  CALLS,
  type FaultResult,
  faultOptions,
  faultsFor,
  isPossible,
  type KnownCall,
  lastOf,
  nameOf,
} from '../support/fault-series.js';
import { inNetwork } from '../support/in-network.js';
import { type Fault, type SeenCalls, SystemCalls } from '../support/inject-fault.js';
import { numbersNamespaces } from '../support/numbers-namespaces.js';
import { openFiles } from '../support/traces.js';
import { untilOr } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';
import { faultsOf } from './registry-check.js';

/** How long a release may take, in milliseconds: a sweep comes every two seconds, what failed is tried again after one. */
const LIMIT = 60_000;

/** How many managers are tried at a time: each of them waits most of the time. */
const LANES = 6;

const RANGE = { start: 0x8_0000, size: 65_536, target: 0 };

/** Made with the first note in it, which may be one that failed at first. */
const NOTES = 'namespace-ids';

const NEXT: NamespaceEntry = { owner: 1, name: 'next', userns: 1, cgroups: [] };

const KNOWN: readonly KnownCall[] = [
  ['fcntl', /F_OFD_SETLK/],
  ['fstatfs', /cgroup/],
  ['getdents64', /cgroup/],
  ['newfstatat', /cgroup/],
  ['openat', /\/proc\/self\/fd\/\d+", .*O_NONBLOCK.*O_DIRECTORY/],
  ['poll', /socket:/],
  ['rmdir', /\.owns/],
  ['rmdir', /\/proc\/self\/fd/],
  ['statx', /namespace-ids/],
  ['statx', /\/status>/],
];

/** A manager of its own, whose namespaces die one after another, each with all that one may have. */
class Mortality {
  readonly #sweeps = new Inotify();
  /** Is in a control group of each namespace, so that this one can't be removed. */
  readonly #inhabitant: ChildProcess = spawn('sleep', ['infinity'], { stdio: 'ignore' });
  readonly #cgroup: string;
  #count = 0;
  #before: { readonly files: string; readonly open: string } | undefined;

  private constructor(
    readonly daemon: Daemon,
    lane: number,
  ) {
    this.#sweeps.add(daemon.registryDirectory, IN_OPEN);
    this.#cgroup = `${cgroupRoot}/sdrx-test-${process.pid}-${lane}`;
    for (const child of ['', '/busy']) mkdirSync(`${this.#cgroup}${child}`);
    writeFileSync(`${this.#busy}/cgroup.procs`, String(this.#inhabitant.pid));
  }

  static async start(t: Test, lane: number): Promise<Mortality> {
    // In a network namespace of its own, so that a test that is killed leaves no interface.
    const daemon = await startDaemon(t, { through: ['unshare', '--net', '--'], env: { SYSTEMD_LOG_LEVEL: 'debug' } });
    const mortality = new Mortality(daemon, lane);
    await mortality.release();
    return mortality;
  }

  async tryFault(fault: Fault): Promise<FaultResult> {
    const {
      seen: { injected },
      wrong,
    } = await this.release(fault).catch((error: unknown) => ({
      seen: { injected: ['a fault'] },
      wrong: [`${this.isAlive ? '' : 'the manager is gone: '}${error}`],
    }));
    if (!isPossible(injected)) return { wrong: [], happened: false, isSpoilt: true };
    return { wrong, happened: injected.length > 0, isSpoilt: wrong.length > 0 };
  }

  get isAlive(): boolean {
    return existsSync(`/proc/${this.daemon.pid}/exe`);
  }

  /** Has a namespace die, with a fault in its release if one is given. */
  async release(fault?: Fault): Promise<{ seen: SeenCalls; wrong: string[] }> {
    const wrong: string[] = [];
    const namespace = new UserNamespace();
    const { inode, host } = this.#register(namespace);
    // So that what the manager does until the next one is always the same.
    await this.#nextSweep();
    const watch = await SystemCalls.watch(this.daemon.pid, CALLS, { fault });
    await namespace.end();
    const isReleased = () => !this.isAlive || !existsSync(`${this.daemon.registryDirectory}/i${inode}.userns`);
    await untilOr(LIMIT, isReleased, () => 'never released').catch((error: unknown) => wrong.push(String(error)));
    const seen = await watch.end();
    if (!this.isAlive) return { seen, wrong: [`the manager is gone: ${seen.injected.join()}`] };
    this.#checkTraces(host, wrong);
    // A close that was not made leaves what it should have closed.
    await this.#checkState(fault?.call === 'close' && seen.injected.length > 0, wrong);
    return { seen, wrong };
  }

  /** Registers a namespace that has control groups, one of them in use, and an interface. */
  #register(namespace: UserNamespace): { inode: number; host: string } {
    using fd = namespace.open();
    const inode = namespaceInode(fd.number);
    mkdirSync(`${this.#free}/child`, { recursive: true });
    for (const path of [this.#free, `${this.#free}/child`, this.#busy, `${this.#busy}/cgroup.procs`])
      chownSync(path, RANGE.start, RANGE.start);
    const name = `mortal${this.#count++}`;
    const host = hostName({ owner: 0, name, userns: inode, cgroups: [] }, undefined);
    const entry: NamespaceEntry = {
      owner: 0,
      name,
      userns: inode,
      range: RANGE,
      cgroups: [cgroupId(this.#free), cgroupId(this.#busy)],
      netifs: [host],
    };
    this.#onHost((links, network) => {
      links.createVeth({ name: host }, { name: 'peer' }, network);
      links.addAlternativeName(host, `ns-0-${name}`);
    });
    using registry = Registry.open(this.daemon.runtimeDirectory);
    using _lock = registry.lock();
    registry.store(entry);
    rememberNamespace(fd.number, inode, registry);
    return { inode, host };
  }

  #checkTraces(host: string, wrong: string[]): void {
    if (existsSync(this.#free)) wrong.push('the control group is left');
    for (const file of ['.', 'cgroup.procs'])
      if (statSync(`${this.#busy}/${file}`).uid !== 0) wrong.push(`the control group's ${file} is not given back`);
    this.#onHost((links) => {
      if (links.find(host) === undefined) return;
      wrong.push('the interface is left');
      links.delete(host);
    });
    using registry = Registry.open(this.daemon.runtimeDirectory);
    // The next change puts right what is left of the one before.
    registry.store(NEXT);
    registry.remove(NEXT);
    wrong.push(...faultsOf(registry, registry.directory));
  }

  /** What the manager has and keeps comes to be what it was, or, if other descriptors are no fault of its, only what it keeps. */
  async #checkState(hasOthers: boolean, wrong: string[]): Promise<void> {
    const [before, now] = [() => this.#before ?? this.#state(), () => this.#state()];
    const isSame = () => now().files === before().files && (hasOthers || now().open === before().open);
    const complaint = () =>
      `left behind:\n${difference(Object.values(before()).join('\n'), Object.values(now()).join('\n'))}`;
    await untilOr(LIMIT, isSame, complaint).catch((error: unknown) => wrong.push(String(error)));
    this.#before = now();
  }

  get #free(): string {
    return `${this.#cgroup}/free`;
  }

  get #busy(): string {
    return `${this.#cgroup}/busy`;
  }

  /** What there is to see of the manager; its workers come and go. */
  #state(): { readonly files: string; readonly open: string } {
    const open = openFiles(this.daemon.pid).filter((file) => !file.includes('[pidfd]'));
    return {
      files: keptFiles(this.daemon)
        .filter((file) => file !== NOTES)
        .join('\n'),
      open: open.join('\n'),
    };
  }

  async #nextSweep(): Promise<void> {
    this.#sweeps.read();
    await untilOr(
      LIMIT,
      // The folder itself, not a file in it.
      () => !this.isAlive || this.#sweeps.read().some(({ name }) => name === ''),
      () => 'no sweep',
    );
  }

  #onHost(change: (links: Links, network: number) => void): void {
    using network = new Fd(openSync(`/proc/${this.daemon.pid}/ns/net`, 'r'));
    inNetwork(network.number, () => {
      using links = new Links();
      change(links, network.number);
    });
  }

  async end(): Promise<void> {
    await this.daemon.stop();
    this.#sweeps[Symbol.dispose]();
    const ended = once(this.#inhabitant, 'exit');
    this.#inhabitant.kill('SIGKILL');
    await ended;
    for (const path of [`${this.#free}/child`, this.#free, this.#busy, this.#cgroup])
      if (existsSync(path)) rmdirSync(path);
  }
}

t.test(
  'a release, whatever system call of the manager fails',
  { ...faultOptions, ...numbersNamespaces, ...needsCgroups },
  async (t) => {
    const first = await Mortality.start(t, 0);
    const faults = faultsFor((await first.release()).seen, KNOWN);
    let happened = 0;
    const rest = faults.values();
    const lane = async (number: number, given?: Mortality) => {
      let mortality = given ?? (await Mortality.start(t, number));
      for (const fault of rest) {
        const result = await mortality.tryFault(fault);
        if (result.happened) happened++;
        t.strictSame(result.wrong, [], nameOf(fault));
        if (!result.isSpoilt) continue;
        if (result.wrong.length > 0) t.comment(lastOf(mortality.daemon.log()).join('\n'));
        await mortality.end();
        mortality = await Mortality.start(t, number);
      }
      await mortality.end();
    };
    await Promise.all(
      Array.from({ length: Math.min(LANES, faults.length) }, (_, number) =>
        lane(number, number === 0 ? first : undefined),
      ),
    );
    t.comment(`${faults.length} faults, of which ${happened} came to be`);
    t.ok(happened > faults.length / 2, `${happened} of ${faults.length} faults came to be`);
  },
);
