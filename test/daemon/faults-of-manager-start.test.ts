import { existsSync, linkSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { NamespaceNotes, Registry, rememberNamespace } from '@sdrx/daemon';
import { namespaceInode } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { ask, keptFiles } from '../support/allocation.js';
import { type Daemon, launchDaemon } from '../support/daemon.js';
import { difference } from '../support/difference.js';
import {
  CALLS,
  type FaultResult,
  faultOptions,
  faultsFor,
  isPossible,
  lastOf,
  nameOf,
} from '../support/fault-series.js';
import { Folder } from '../support/folder.js';
import { type Fault, type SeenCalls, SystemCalls } from '../support/inject-fault.js';
import { numbersNamespaces } from '../support/numbers-namespaces.js';
import { StoppedStart } from '../support/stopped-start.js';
import { untilOr } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';
import { within } from '../support/within.js';
import { faultsOf } from './registry-check.js';

/** How long anything may take, in milliseconds. */
const LIMIT = 60_000;

/** After this time it is looked whether a manager serves that has not said so, in milliseconds. */
const SILENCE = 5000;

/** How many managers are tried at a time. */
const LANES = 2;

/** The inode of a namespace that is dead, and an id that no namespace has any more. */
const DEAD = 4_026_500_000;
const DEAD_ID = 1n;

/** In place of sh(1), which starts the workers: of the first five four wait in their stead, which costs next to nothing. */
const WORKERS = `#!/bin/sh
case "$*" in *nsresourcework*) ;; *) exec /bin/sh "$@" ;; esac
for number in 1 2 3 4 5; do
  mkdir "$SDRX_TEST_WORKERS/$number" 2>/dev/null || continue
  [ $number -eq 1 ] && break
  exec sleep infinity
done
exec /bin/sh "$@"
`;

/** What came of a start. */
interface Start {
  readonly daemon: Daemon;
  readonly isReady: boolean;
  readonly seen: SeenCalls;
}

/** Resolves when a manager serves, or has ended. What it writes of that may be what fails. */
async function becomesReady(daemon: Daemon): Promise<boolean> {
  const said = daemon.waitForLog(/^nsresourced ready .*$/m).then(
    () => true,
    () => false,
  );
  const late = setTimeout(SILENCE, undefined, { ref: false }).then(() => ask(daemon, 'User', { uid: 1 }));
  return await Promise.any([said, late.then(() => true)]);
}

/** A runtime directory in which managers start, one after another, each with something to take over. */
class Starts {
  readonly #folder = new Folder();
  readonly #stop = new StoppedStart(this.#folder.path);
  readonly #runtimeDirectory = this.#folder.join('run');
  readonly #alive = new UserNamespace();
  readonly #inode: number;

  constructor(readonly t: Test) {
    mkdirSync(this.#folder.join('bin'));
    writeFileSync(this.#folder.join('bin/sh'), WORKERS, { mode: 0o755 });
    using registry = Registry.open(this.#runtimeDirectory);
    using fd = this.#alive.open();
    this.#inode = namespaceInode(fd.number);
    registry.store({ owner: 1, name: 'alive', userns: this.#inode, cgroups: [] });
    rememberNamespace(fd.number, this.#inode, registry);
  }

  /** The system calls of a start. */
  async calls(): Promise<SeenCalls> {
    const { daemon, seen } = await this.#start();
    await daemon.stop();
    return seen;
  }

  async tryFault(fault: Fault): Promise<FaultResult> {
    const start = await this.#start(fault);
    const { daemon, isReady } = start;
    const { injected } = start.seen;
    const wrong = isReady ? await this.#checkService(daemon, fault) : await this.#checkEnd(start, fault);
    if (wrong.length > 0) wrong.push(...lastOf(daemon.log()), ...injected);
    const happened = injected.length > 0 && isPossible(injected);
    return { wrong: happened || injected.length === 0 ? wrong : [], happened, isSpoilt: wrong.length > 0 };
  }

  /** Starts a manager, with a fault if one is given, and waits until it is ready, or has ended. */
  async #start(fault?: Fault): Promise<Start> {
    this.#leaveSomething();
    this.#stop.arm();
    const daemon = this.#launch();
    const pid = await this.#stop.stopped();
    const watch = await SystemCalls.watch(pid, CALLS, { fault, untilExec: true });
    daemon.kill('SIGCONT');
    const isReady = await becomesReady(daemon);
    const seen = await watch.end();
    return { daemon, isReady, seen };
  }

  #launch(): Daemon {
    const started = this.#folder.join('started');
    rmSync(started, { recursive: true, force: true });
    mkdirSync(started);
    const path = `${this.#folder.join('bin')}:${process.env.PATH}`;
    const env = { ...this.#stop.env, PATH: path, SDRX_TEST_WORKERS: started };
    return launchDaemon(this.t, { runtimeDirectory: this.#runtimeDirectory, env });
  }

  /** What a daemon that was killed may leave: a dead namespace, a link without its entry, a file that was not finished. */
  #leaveSomething(): void {
    using registry = Registry.open(this.#runtimeDirectory);
    if (!registry.hasInode(DEAD)) {
      registry.store({ owner: 1, name: 'dead', userns: DEAD, cgroups: [] });
      const { mtimeNs, ino } = statSync(`${registry.directory}/i${DEAD}.userns`, { bigint: true });
      NamespaceNotes.beside(registry).remember(DEAD, DEAD_ID, `${ino}-${mtimeNs}`);
    }
    writeFileSync(`${registry.directory}/.#1-2-3`, '');
    if (!existsSync(`${registry.directory}/norphan.userns`))
      linkSync(`${registry.directory}/.#1-2-3`, `${registry.directory}/norphan.userns`);
  }

  /** It serves, and has done what a start has to do. What it could not, and said so, the next one does. */
  async #checkService(daemon: Daemon, fault?: Fault): Promise<string[]> {
    const wrong: string[] = [];
    const complain = (error: unknown) => wrong.push(String(error));
    const reply = within(LIMIT, () => 'no answer', ask(daemon, 'User', { uid: 524_288 }));
    await reply.then(({ error }) => {
      if (error?.endsWith('.NoRecordFound') !== true) wrong.push(`the reply ${error}`);
    }, complain);
    await untilOr(
      LIMIT,
      () => !existsSync(`${daemon.registryDirectory}/i${DEAD}.userns`),
      () => 'the dead namespace is never released',
    ).catch(complain);
    const { code, signal } = await daemon.stop();
    if (code !== 0) wrong.push(`at the end: ${code ?? signal}`);
    const left = this.#checkFiles(daemon);
    if (fault === undefined || left.length === 0) return [...wrong, ...left];
    if (!daemon.log().includes(fault.error)) wrong.push(...left, 'it does not say why');
    return [...wrong, ...(await this.#checkNext())];
  }

  /** It says why it did not start, and the next one does. */
  async #checkEnd({ daemon }: Start, fault: Fault): Promise<string[]> {
    const wrong: string[] = [];
    const { code, signal } = await within(LIMIT, () => 'neither ready nor at its end', daemon.gone);
    if (code === null || code === 0) wrong.push(`ended with ${code ?? signal}`);
    if (!daemon.log().includes(fault.error)) wrong.push('it does not say why');
    return [...wrong, ...(await this.#checkNext())];
  }

  async #checkNext(): Promise<string[]> {
    const next = this.#launch();
    await next.waitForLog(/^nsresourced ready .*$/m);
    return this.#checkService(next);
  }

  /** What is left when a manager has ended. */
  #checkFiles(daemon: Daemon): string[] {
    using registry = Registry.open(this.#runtimeDirectory);
    const faults = faultsOf(registry, registry.directory);
    const own = `i${this.#inode}`;
    const files = [
      ...['namespace-ids', `namespace-ids/${own}`],
      ...['registry', `registry/${own}.userns`, 'registry/lock', 'registry/nalive.userns'],
      ...['registry/o1.owns', `registry/o1.owns/${own}.userns`],
    ];
    const [expected, found] = [files.join('\n'), keptFiles(daemon).join('\n')];
    const around = readdirSync(this.#runtimeDirectory, { recursive: true, encoding: 'utf8' });
    const names = around.filter((name) => name.includes('io.systemd'));
    return [
      ...faults,
      ...(expected === found ? [] : [`left behind:\n${difference(expected, found)}`]),
      ...names.map((name) => `${name} is left`),
    ];
  }

  [Symbol.dispose](): void {
    this.#alive[Symbol.dispose]();
    this.#folder[Symbol.dispose]();
  }
}

const failed = (error: unknown): FaultResult => ({ wrong: [String(error)], happened: true, isSpoilt: true });

t.test('a start, whatever system call of the manager fails', { ...faultOptions, ...numbersNamespaces }, async (t) => {
  const lanes = Array.from({ length: LANES }, () => new Starts(t));
  try {
    const [first] = lanes;
    if (first === undefined) throw new Error('no lane');
    const faults = faultsFor(await first.calls(), []);
    let happened = 0;
    const rest = faults.values();
    const work = async (starts: Starts) => {
      for (const fault of rest) {
        const result = await starts.tryFault(fault).catch(failed);
        if (result.happened) happened++;
        t.strictSame(result.wrong, [], nameOf(fault));
      }
    };
    await Promise.all(lanes.map(work));
    t.comment(`${faults.length} faults, of which ${happened} came to be`);
    t.ok(happened > faults.length / 2, `${happened} of ${faults.length} faults came to be`);
  } finally {
    for (const lane of lanes) lane[Symbol.dispose]();
  }
});
