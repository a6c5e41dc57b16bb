import { Ledger } from '@sdrx/daemon';
import t, { type Test } from 'tap';
import { allocate } from '../support/allocation.js';
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
import { Folder } from '../support/folder.js';
import { type Fault, type SeenCalls, SystemCalls } from '../support/inject-fault.js';
import { signalAll } from '../support/signs.js';
import { StoppedStart } from '../support/stopped-start.js';
import { openFiles } from '../support/traces.js';
import { untilOr } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';
import { within } from '../support/within.js';

/** How long anything may take, in milliseconds: a worker that does not begin to work is given twenty seconds. */
const LIMIT = 60_000;

/** How long a worker may take to hold what the others do once it has answered, in milliseconds. */
const REST = 5000;

const KNOWN: readonly KnownCall[] = [
  ['epoll_create1', /./],
  ['fcntl', /F_SETFL/],
];

/** A daemon whose workers are replaced, one after another. */
class Replacements {
  readonly #folder: Folder;
  readonly #stop: StoppedStart;
  readonly #ledger: Ledger;

  private constructor(
    readonly daemon: Daemon,
    folder: Folder,
    stop: StoppedStart,
  ) {
    [this.#folder, this.#stop] = [folder, stop];
    const ledger = Ledger.open(daemon.runtimeDirectory, daemon.pid);
    if (ledger === undefined) throw new Error('no ledger');
    this.#ledger = ledger;
  }

  static async start(t: Test): Promise<Replacements> {
    const folder = new Folder();
    const stop = new StoppedStart(folder.path);
    const daemon = await startDaemon(t, { env: { ...stop.env, SYSTEMD_LOG_LEVEL: 'debug' } });
    const replacements = new Replacements(daemon, folder, stop);
    await replacements.#complete();
    return replacements;
  }

  /** The system calls of a worker's start. */
  async calls(): Promise<SeenCalls> {
    return (await this.#replace()).seen;
  }

  async tryFault(fault: Fault): Promise<FaultResult> {
    const { pid, seen, wrong } = await this.#replace(fault);
    const { injected } = seen;
    const isClose = fault.call === 'close';
    if (wrong.length === 0) wrong.push(...(await this.#check(pid, isClose)));
    const happened = injected.length > 0 && isPossible(injected);
    if (wrong.length > 0) wrong.push(...lastOf(this.daemon.log()), ...injected);
    return { wrong: happened || injected.length === 0 ? wrong : [], happened, isSpoilt: wrong.length > 0 };
  }

  /** Has a worker replaced, and waits until there are as many that serve as before. */
  async #replace(fault?: Fault): Promise<{ pid: number; seen: SeenCalls; wrong: string[] }> {
    const wrong: string[] = [];
    await this.#endSurplus();
    this.#stop.arm();
    // The one that was replaced last.
    const serving = this.#serving();
    const [old = 0] = serving.toSorted((a, b) => b - a);
    process.kill(old, 'SIGKILL');
    const pid = await this.#stop.stopped().catch((error) => {
      const state = `${old} of ${serving}, children ${this.daemon.children()}`;
      throw new Error(`${error}, ${state}:\n${lastOf(this.daemon.log()).join('\n')}`);
    });
    const watch = await SystemCalls.watch(pid, CALLS, { fault, untilExec: true });
    process.kill(pid, 'SIGCONT');
    await this.#complete().catch((error: unknown) => wrong.push(String(error)));
    return { pid, seen: await watch.end(), wrong };
  }

  /** Ends who was started because a connection waited while all others were stopped: one more that ends would not be replaced. */
  async #endSurplus(): Promise<void> {
    const [, , , , , ...surplus] = this.daemon.children();
    signalAll(surplus, 'SIGKILL');
    await this.#complete();
  }

  async #complete(): Promise<void> {
    const { daemon } = this;
    await untilOr(
      LIMIT,
      () => {
        const [workers, serving] = [daemon.children(), this.#serving()];
        return workers.length === 5 && workers.every((pid) => serving.includes(pid));
      },
      () => `of ${daemon.children()} only ${this.#serving()} serve`,
    );
  }

  #serving(): number[] {
    const slots = Array.from({ length: this.#ledger.usedSlots }, (_, slot) => slot);
    const serving = slots.filter((slot) => this.#ledger.condition(slot) === 'serving' && this.#ledger.pid(slot) !== 0);
    return serving.map((slot) => this.#ledger.pid(slot));
  }

  /** It answers, and holds what the others hold. */
  async #check(pid: number, isClose: boolean): Promise<string[]> {
    const wrong: string[] = [];
    const isAlive = () => this.daemon.children().includes(pid);
    const others = this.daemon.children().filter((other) => other !== pid);
    if (!isAlive()) return [];
    signalAll(others, 'SIGSTOP');
    try {
      using namespace = new UserNamespace();
      using fd = namespace.open();
      const { error } = await within(LIMIT, () => 'no answer', allocate(this.daemon, fd, `fault${pid}`));
      if (error !== undefined) wrong.push(`the reply ${error}`);
    } catch (error) {
      wrong.push(String(error));
    } finally {
      signalAll(others, 'SIGCONT');
    }
    // A close that was not made leaves what it should have closed.
    if (isClose && isAlive()) return wrong;
    const [expected, found] = [() => openFiles(others[0] ?? 0).join('\n'), () => openFiles(pid).join('\n')];
    await untilOr(
      REST,
      () => !isAlive() || expected() === found(),
      () => `not as the others:\n${difference(expected(), found())}`,
    ).catch((error: unknown) => wrong.push(String(error)));
    // It may have ended after its first sign of life.
    if (isAlive()) return wrong;
    await this.#complete();
    return [];
  }

  async end(): Promise<void> {
    this.#ledger[Symbol.dispose]();
    await this.daemon.stop();
    this.#folder[Symbol.dispose]();
  }
}

t.test('a start, whatever system call of a worker fails', faultOptions, async (t) => {
  let replacements = await Replacements.start(t);
  const faults = faultsFor(await replacements.calls(), KNOWN);
  let happened = 0;
  for (const fault of faults) {
    const result = await replacements.tryFault(fault);
    if (result.happened) happened++;
    t.strictSame(result.wrong, [], nameOf(fault));
    if (!result.isSpoilt) continue;
    await replacements.end();
    replacements = await Replacements.start(t);
  }
  await replacements.end();
  t.comment(`${faults.length} faults, of which ${happened} came to be`);
  t.ok(happened > faults.length / 2, `${happened} of ${faults.length} faults came to be`);
});
