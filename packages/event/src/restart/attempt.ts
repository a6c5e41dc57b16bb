import { checkNumber, checkText, type Fd, isSystemError } from '@sdrx/linux';
import { catchError, EMPTY, firstValueFrom, fromEvent, race, type Subscription } from 'rxjs';
import type { EventLoop } from '../loop.js';
import { messageOf } from '../service/message-of.js';
import { oneLine } from '../service/one-line.js';
import type { Serving } from '../service/serving.js';
import { tell } from '../service/tell.js';
import { Channel } from './channel.js';
import type { HandOverPlan, RestartPhase } from './hand-over-plan.js';
import { sendInheritance } from './inheritance.js';
import { sealValue } from './json-value.js';
import type { RestartProgram } from './program.js';
import { CHANNEL_FD, VARIABLE } from './protocol.js';
import { RestartError, type RestartRefusal } from './restart-error.js';
import type { RestartSystem, StartedProcess } from './restart-system.js';
import { StartedSuccessor, type Successor } from './successor.js';

/** How long the new process may take by default until it is ready, in milliseconds. */
const READY_WITHIN = 60_000;

/** How long the service manager may take to look at what it was told, in milliseconds. */
const BARRIER = 5000;

/** How long a process that has said that it ends, or seems to, may take for that, in milliseconds. */
const LAST_MOMENTS = 1000;

const NO_DESCRIPTORS = ['EMFILE', 'ENFILE', 'ETOOMANYREFS'];

/** Variables that are about this process, and would be wrong of another. */
const OWN_VARIABLES = [
  'LISTEN_PID',
  'LISTEN_FDS',
  'LISTEN_FDNAMES',
  'LISTEN_PIDFDID',
  'WATCHDOG_PID',
  'SYSTEMD_EXEC_PID',
];

/** What has gone wrong, as those are told who have asked. */
export function asRestartError(error: unknown, reason: RestartRefusal): RestartError {
  if (error instanceof RestartError) return error;
  const isShort = isSystemError(error, ...NO_DESCRIPTORS);
  return new RestartError(isShort ? 'descriptors' : reason, messageOf(error), { cause: error });
}

function makeChannel(system: RestartSystem): readonly [own: Fd, other: Fd] {
  try {
    return system.channel();
  } catch (error) {
    throw asRestartError(error, 'failed');
  }
}

/** One try to have another process take over. */
export class Attempt {
  readonly #loop: EventLoop;
  readonly #system: RestartSystem;
  readonly #plan: HandOverPlan;
  readonly #channel: Channel;
  readonly #child: StartedProcess;
  readonly #watch: Subscription;
  readonly #given: AbortController = new AbortController();
  /** Takes the time limit back. */
  #unlimit = () => {};
  readonly #hasEnded: Promise<void>;
  #isWatched = true;
  #mayServe = false;
  #isTold = false;

  /** Starts the process, with all that it is handed in its channel already: so it need not wait for it. */
  constructor(loop: EventLoop, system: RestartSystem, plan: HandOverPlan, program: RestartProgram) {
    this.#loop = loop;
    this.#system = system;
    this.#plan = plan;
    const [own, other] = makeChannel(system);
    this.#channel = new Channel(system, own);
    try {
      sendInheritance(system, this.#channel, plan);
      this.#child = start(system, program, other);
    } catch (error) {
      this.#channel[Symbol.dispose]();
      throw asRestartError(error, 'failed');
    } finally {
      other.close();
    }
    this.#channel.start(loop);
    let ended = () => {};
    this.#hasEnded = new Promise((resolve) => {
      ended = resolve;
    });
    // After its last message, which may say why.
    this.#watch = loop.child(this.#child.child, { priority: -5, description: 'new process' }).subscribe({
      next: ({ code, status }) => {
        this.#channel.readRest();
        this.#giveUp(new RestartError('died', `${code} ${status}`));
      },
      complete: ended,
      error: (error) => {
        this.#isWatched = false;
        this.#giveUp(asRestartError(error, 'failed'));
        ended();
      },
    });
    const stop = () => {
      // Later the service manager may know the new process already, and count on it.
      if (!this.#isTold) this.#giveUp(new RestartError('stopping'));
    };
    plan.signal?.addEventListener('abort', stop, { once: true });
    this.#watch.add(() => plan.signal?.removeEventListener('abort', stop));
    if (plan.signal?.aborted === true) stop();
    this.#limit(plan.readyWithin ?? READY_WITHIN);
  }

  /** Until the new process serves. */
  async prepare(): Promise<void> {
    this.#phase('spawned');
    await this.#expect('taken');
    this.#phase('taken');
    await this.#sendState();
    this.#phase('state-sent');
    await this.#expect('ready');
    this.#phase('ready');
    for (const serving of this.#servings) if (serving.exclusive === true) serving.pause();
    this.#mayServe = true;
    await this.#send({ type: 'accept' });
    this.#phase('accept');
    await this.#expect('accepting');
    // All that comes from now on is the new one's: it takes from the same queues.
    for (const serving of this.#servings) serving.pause();
    this.#phase('accepting');
  }

  /** Has it become the service. From when the service manager was told, only the new process's end or silence leads back. */
  async switchOver(): Promise<Successor> {
    this.#unlimit();
    this.#given.signal.throwIfAborted();
    const hasManager = this.#tellManager();
    this.#isTold = true;
    this.#phase('told');
    if (hasManager) await this.#heard();
    this.#given.signal.throwIfAborted();
    this.#phase('heard');
    this.#given.signal.throwIfAborted();
    await this.#send({ type: 'main' });
    // One that is killed or hangs before it knows has changed nothing.
    this.#limit(this.#plan.readyWithin ?? READY_WITHIN);
    await this.#expect('current');
    this.#unlimit();
    try {
      this.#phase('main');
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
    this.#watch.unsubscribe();
    return new StartedSuccessor(this.#loop, this.#system, this.#channel, this.#child);
  }

  /**
   * Has all as it was.
   * @param endsByItself whether the new process has said so
   * @returns what has gone wrong by that
   */
  async undo(endsByItself: boolean): Promise<unknown[]> {
    this.#unlimit();
    // As long as the channel is open the new process does not take this one for dead.
    if (endsByItself && !this.#mayServe) await this.#ended(LAST_MOMENTS);
    this.#child.kill('SIGKILL');
    // One that hangs in the kernel ends late: clients must not wait for that, but two must not take datagrams.
    const errors = this.#resume(({ exclusive = false }) => !exclusive);
    await this.#hasEnded;
    if (!this.#isWatched) this.#child.reap();
    this.#watch.unsubscribe();
    this.#child[Symbol.dispose]();
    this.#channel[Symbol.dispose]();
    errors.push(...this.#resume(({ exclusive = false }) => exclusive));
    // Nobody else can say so by now, if NotifyAccess=all lets this process.
    if (this.#isTold) tell(this.#system, { MAINPID: this.#system.pid, READY: 1 });
    return errors;
  }

  /** Serves again. @returns what has gone wrong by that */
  #resume(which: (serving: Serving) => boolean): unknown[] {
    const errors: unknown[] = [];
    for (const serving of this.#servings.filter(which)) {
      try {
        serving.resume();
      } catch (error) {
        errors.push(error);
      }
    }
    return errors;
  }

  /** @returns whether there is a service manager that hears it */
  #tellManager(): boolean {
    const message = { MAINPID: this.#child.pid, READY: 1, STATUS: '' } as const;
    try {
      return this.#system.notify(message);
    } catch (error) {
      // It is there, and would take the end of this process for that of the service.
      if (isSystemError(error, 'ENOBUFS')) throw new RestartError('manager', messageOf(error), { cause: error });
      return tell(this.#system, message);
    }
  }

  /** Waits until the service manager has heard it, for a time, or the new process is gone. */
  async #heard(): Promise<void> {
    const { signal } = this.#given;
    const barrier = this.#system.notifyBarrier(this.#loop).pipe(catchError(() => EMPTY));
    const late = this.#loop.time({ after: BARRIER, description: 'notify barrier' });
    await firstValueFrom(race(barrier, late, fromEvent(signal, 'abort')), { defaultValue: undefined });
  }

  get #servings(): readonly Serving[] {
    return this.#plan.servings ?? [];
  }

  #phase(phase: RestartPhase): void {
    this.#plan.onPhase?.(phase, this.#child.pid);
  }

  #giveUp(error: RestartError): void {
    this.#given.abort(error);
  }

  #limit(milliseconds: number): void {
    this.#unlimit();
    const late = () => this.#giveUp(new RestartError('time-out', `${milliseconds} ms`));
    this.#unlimit = this.#system.later(milliseconds, late);
  }

  async #send(message: Readonly<Record<string, unknown>>, fds: readonly number[] = []): Promise<void> {
    if (!this.#channel.send(message, fds)) throw await this.#whyGone();
  }

  async #sendState(): Promise<void> {
    const state = this.#plan.state?.();
    using file = state === undefined ? undefined : sealValue(this.#system, 'state', state);
    await this.#send({ type: 'state' }, file === undefined ? [] : [file.number]);
  }

  /** Why it has closed its end of the channel: it has ended, which is told in a moment, or it goes on without this process. */
  async #whyGone(): Promise<unknown> {
    await this.#ended(LAST_MOMENTS);
    if (this.#given.signal.aborted) return this.#given.signal.reason;
    const { failure } = this.#channel;
    const what = failure === undefined ? 'it has closed its end of the channel' : messageOf(failure);
    return new RestartError('protocol', what);
  }

  /** Waits for a message, and deals with the others that may come before it. */
  async #expect(type: 'taken' | 'ready' | 'accepting' | 'current'): Promise<void> {
    for (;;) {
      const received = await this.#channel.next(this.#given.signal);
      if (received === undefined) throw await this.#whyGone();
      const { message, fds } = received;
      for (const fd of fds) fd.close();
      if (message.type === type) return;
      if (message.type === 'failed') throw new RestartError('failed', String(message.message));
      if (message.type !== 'progress') throw new RestartError('protocol', `'${message.type}' instead of '${type}'`);
      this.#progress(message);
    }
  }

  /** Waits until the new process has ended, for a time. */
  async #ended(atMost: number): Promise<void> {
    let unlimit = () => {};
    const late = new Promise<void>((resolve) => {
      unlimit = this.#system.later(atMost, resolve);
    });
    await Promise.race([this.#hasEnded, late]);
    unlimit();
  }

  #progress({ text, extend }: Readonly<Record<string, unknown>>): void {
    try {
      checkText('text', text);
      checkNumber('extend', extend, 0, 0x7fff_ffff);
    } catch (error) {
      throw new RestartError('protocol', messageOf(error), { cause: error });
    }
    tell(this.#system, { STATUS: oneLine(text), EXTEND_TIMEOUT_USEC: extend * 1000 });
    this.#limit(extend);
  }
}

function start(system: RestartSystem, program: RestartProgram, channel: Fd): StartedProcess {
  const env: NodeJS.ProcessEnv = { ...system.environment, [VARIABLE]: String(CHANNEL_FD) };
  for (const name of OWN_VARIABLES) delete env[name];
  try {
    return system.start(program, channel, env);
  } catch (error) {
    throw asRestartError(error, 'program');
  }
}
