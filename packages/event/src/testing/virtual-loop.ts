import { EventLoop, type SourceState } from '@sdrx/event';
import { atLoad, checkBoolean, checkInstance, checkNumber, checkObject, checkText, type Signal } from '@sdrx/linux';
import { LeftOverError } from './left-over-error.js';
import type { VirtualChild } from './virtual-children.js';
import type { VirtualDescriptor, VirtualDescriptorOptions } from './virtual-descriptors.js';
import type { VirtualDirectory } from './virtual-directory.js';
import type { VirtualFileEvent } from './virtual-files.js';
import { VirtualKernel } from './virtual-kernel.js';
import { VirtualMachine } from './virtual-machine.js';
import {
  ServiceManager,
  type VirtualServiceManager,
  type VirtualServiceManagerOptions,
} from './virtual-service-manager.js';
import type { VirtualSignalInfo } from './virtual-signals.js';

/** What a virtual loop can be given. */
export interface VirtualLoopOptions {
  /** What the realtime clock shows at first, in milliseconds since 1970; the begin of 2026 by default. */
  readonly realtime?: number;
  /**
   * A loop of another process of the same machine: both have one time, clocks included. Whichever is told to let it pass, all get
   * their turns. By default it has a machine of its own.
   */
  readonly beside?: VirtualLoop;
}

const BEGIN_OF_2026 = 1_767_225_600_000;

/** How many turns there may be at one time: a loop that has more to do then never comes to rest. */
const MOST_TURNS = 100_000;

/** How many turns of Node's a loop must have had nothing to do in, so that promises and what they begin have had theirs. */
const QUIET = 3;

/**
 * An event loop in a world of its own, for tests: the same loop, by the same code, but time passes only when the test lets it, and
 * what happens is what the test says. A day of time-outs takes milliseconds, and always the same happens.
 *
 * What is left when it is disposed of is an error that names it: a subscription of a loop that was not run to its end, a child that
 * nobody reaped, a descriptor or file that nobody closed.
 *
 * @example
 * using loop = new VirtualLoop();
 * const finished = loop.run(loop.time({ after: 86_400_000 }).pipe(tap(() => loop.exit(7))));
 * await loop.advance(86_400_000);
 * console.log(await finished); // 7
 */
export class VirtualLoop extends EventLoop {
  readonly #kernel: VirtualKernel;
  readonly #machine: VirtualMachine;
  #isFinished = false;

  /** @throws TypeError, RangeError */
  constructor(options: VirtualLoopOptions = {}) {
    checkObject('options', options);
    const { realtime = BEGIN_OF_2026, beside } = options;
    checkNumber('realtime', realtime, 0, Number.MAX_SAFE_INTEGER, 'a number of milliseconds');
    if (beside !== undefined) checkInstance('beside', beside, VirtualLoop);
    const kernel = new VirtualKernel(beside === undefined ? { monotonic: 0, realtime, boottime: 0 } : beside.#clocks);
    super({ kernel });
    this.#kernel = kernel;
    this.#machine = beside === undefined ? new VirtualMachine() : beside.#machine;
    this.#machine.add(kernel);
  }

  /**
   * Lets the loop do all that there is to do at the present time, and promises theirs.
   * @throws Error if it never comes to rest, and ServiceFailureError for what the service manager would end the service for
   */
  async settle(): Promise<void> {
    let turns = 0;
    for (let quiet = 0; quiet < QUIET; ) {
      quiet = this.#machine.turn() ? 0 : quiet + 1;
      if (++turns > MOST_TURNS) throw new Error(`the loop never comes to rest: ${named(this.#pending)}`);
      await turnOfNode();
    }
    for (const { manager } of this.#machine.kernels) {
      const failure = manager?.takeFailure();
      if (failure !== undefined) throw failure;
    }
  }

  /**
   * Lets so many milliseconds pass. Whatever is due meanwhile comes at its time, one after the other.
   * @throws RangeError for less than 0, and as `settle`
   */
  async advance(milliseconds: number): Promise<void> {
    checkNumber('milliseconds', milliseconds, 0);
    await this.settle();
    const end = this.#kernel.now('monotonic') + milliseconds;
    for (;;) {
      const left = end - this.#kernel.now('monotonic');
      const { next } = this.#machine;
      if (next > left) {
        this.#machine.pass(left);
        break;
      }
      this.#machine.pass(next);
      await this.settle();
    }
    await this.settle();
  }

  /**
   * Lets time pass until something is due, and has it done.
   * @returns how long that was, in milliseconds
   * @throws Error if nothing is due at any time, and as `settle`
   */
  async advanceToNext(): Promise<number> {
    await this.settle();
    const { next } = this.#machine;
    if (next === Number.POSITIVE_INFINITY)
      throw new Error(`nothing will happen any more; the loop waits for ${named(this.sources()) || 'nothing'}`);
    this.#machine.pass(next);
    await this.settle();
    return next;
  }

  /**
   * Lets time pass until the loop has finished, however long that is.
   * @throws Error if nothing will ever happen that could end it, and as `settle`
   */
  async finish(): Promise<void> {
    for (await this.settle(); this.state !== 'finished'; ) await this.advanceToNext();
  }

  /**
   * So many milliseconds pass in which the program is busy and the loop has no turn: within a handler, one that takes that long.
   * @throws RangeError for less than 0
   */
  busy(milliseconds: number): void {
    checkNumber('milliseconds', milliseconds, 0);
    this.#machine.pass(milliseconds);
  }

  /**
   * The machine sleeps for so many milliseconds: the monotonic clock stands still.
   * @throws RangeError for less than 0
   */
  async suspend(milliseconds: number): Promise<void> {
    checkNumber('milliseconds', milliseconds, 0);
    for (const { time } of this.#machine.kernels) time.sleep(milliseconds);
    await this.settle();
  }

  /** Sets the realtime clock, in milliseconds since 1970. clock_settime(2). @throws RangeError */
  setRealtime(realtime: number): void {
    checkNumber('realtime', realtime, 0, Number.MAX_SAFE_INTEGER, 'a number of milliseconds');
    for (const { time } of this.#machine.kernels) time.set(realtime);
  }

  /**
   * The process is stopped, as by SIGSTOP, or goes on: it has no turns, while time passes. What its loop does in the turn that it
   * has now it still does.
   * @throws TypeError
   */
  freeze(on = true): void {
    checkBoolean('on', on);
    this.#kernel.isFrozen = on;
  }

  /** The process is killed, as by SIGKILL: it has no turns any more, and what is left of it is no error. `run` never resolves. */
  kill(): void {
    this.#isFinished = true;
    this.#kernel.isFrozen = true;
    this.#machine.delete(this.#kernel);
  }

  /** Sends the process a signal. @throws RangeError for none, and Error if nobody listens to it */
  send(signal: Signal, info: VirtualSignalInfo = {}): void {
    checkObject('info', info);
    this.#kernel.signals.send(signal, info);
  }

  /** Starts a child process, which the loop is given by its id. */
  startChild(): VirtualChild {
    return this.#kernel.children.start();
  }

  /** Opens a descriptor, which the loop is given by its number. @throws TypeError */
  openDescriptor(options: VirtualDescriptorOptions = {}): VirtualDescriptor {
    checkObject('options', options);
    const { pollable = true } = options;
    checkBoolean('pollable', pollable);
    return this.#kernel.descriptors.open(pollable);
  }

  /**
   * Makes a directory, in which there is from now on what is made in it, and of which is told what Linux tells.
   * @throws TypeError, EEXIST for one that was made already, and ENOENT or ENOTDIR for one within another that was made
   */
  makeDirectory(path: string): VirtualDirectory {
    checkText('path', path);
    return this.#kernel.files.makeDirectory(path);
  }

  /**
   * Something happens to a file, by the path by which it is watched.
   * @returns whether anybody watches it
   * @throws TypeError, and ENOENT or ENOTDIR for what is not in a directory that was made
   */
  touch(path: string, event: VirtualFileEvent): boolean {
    checkText('path', path);
    checkObject('event', event);
    return this.#kernel.files.happen(path, event);
  }

  /** Memory is short. With MEMORY_PRESSURE_WATCH=/dev/null nobody can wait for that: it fails with EHOSTDOWN, as always. */
  press(): void {
    this.#kernel.press();
  }

  /**
   * Starts a service manager, to be told something by `notify`: NOTIFY_SOCKET and what goes with it are set from now on, to the
   * end of the loop. To it the program is a service that was started now, with Type=notify-reload.
   *
   * What it would end the service for, as systemd does, is a ServiceFailureError of the call that lets time pass: `advance` or
   * whichever it was.
   * @throws TypeError and RangeError, and Error while there is another one: a process has one
   * @example
   * const manager = loop.startServiceManager({ watchdog: 30_000 });
   * const signs = watchdog(loop).subscribe();
   * notify({ READY: 1, STATUS: 'at work' });
   * await loop.advance(3_600_000);
   * assert.deepEqual([manager.state, manager.status], ['active', 'at work']);
   * assert.equal(manager.notifications.at(-1)?.variables.WATCHDOG, '1');
   * loop.busy(31_000);
   * await assert.rejects(loop.settle(), { name: 'ServiceFailureError', result: 'watchdog' });
   * signs.unsubscribe();
   */
  startServiceManager(options: VirtualServiceManagerOptions = {}): VirtualServiceManager {
    checkObject('options', options);
    if (this.#kernel.manager !== undefined) throw new Error('the loop has a service manager already');
    const manager = new ServiceManager(options, {
      now: () => this.#kernel.now('monotonic'),
      send: (signal) => this.send(signal, { pid: 1 }),
      hasEnded: () => this.state === 'finished',
    });
    this.#kernel.manager = manager;
    return manager;
  }

  /** Frees everything. @throws LeftOverError for what is left */
  override [Symbol.dispose](): void {
    if (this.#isFinished) return;
    this.#isFinished = true;
    this.#machine.delete(this.#kernel);
    const left = [
      ...this.sources().map(describe),
      ...this.#kernel.children.left.map(({ pid, ended }) =>
        ended ? `the end of child ${pid}, which nobody reaped` : `child ${pid}, which runs`,
      ),
      ...this.#kernel.descriptors.left.map((number) => `descriptor ${number}`),
      ...[...this.#kernel.files.open].map(({ path }) => `file ${path}, which is open`),
    ];
    super[Symbol.dispose]();
    if (left.length > 0) throw new LeftOverError(left);
  }

  get #clocks(): { monotonic: number; realtime: number; boottime: number } {
    const { time } = this.#kernel;
    return { monotonic: time.now('monotonic'), realtime: time.now('realtime'), boottime: time.now('boottime') };
  }

  get #pending(): SourceState[] {
    return this.sources().filter(({ pending }) => pending);
  }
}

function named(sources: readonly SourceState[]): string {
  return sources.map(describe).join(', ');
}

function describe({ kind, description }: SourceState): string {
  return description === undefined ? `a source of kind ${kind}` : `${kind} '${description}'`;
}

/** Promises settle meanwhile, and what they begin. */
function turnOfNode(): Promise<void> {
  return new Promise((resolve) => {
    atLoad.setImmediate(resolve);
  });
}
