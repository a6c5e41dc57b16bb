import { readdirSync } from 'node:fs';
import {
  atLoad,
  type ChildProcess,
  checkArray,
  checkFunction,
  checkInstance,
  checkInteger,
  checkMethods,
  checkNumber,
  checkObject,
  checkText,
  descriptorLimit,
  EPOLLIN,
  type Fd,
  isSystemError,
  MAX_PASSED_FDS,
  pidfdOpen,
  SOCK_SEQPACKET,
  socketPair,
  spawn,
} from '@sdrx/linux';
import { catchError, EMPTY, firstValueFrom, fromEvent, race, type Subscription, take } from 'rxjs';
import type { EventLoop } from '../loop.js';
import { messageOf } from '../service/message-of.js';
import { notify, notifyBarrier } from '../service/notify.js';
import { oneLine } from '../service/one-line.js';
import type { HandedSocket } from '../service/service-socket.js';
import type { Serving } from '../service/serving.js';
import { tell } from '../service/tell.js';
import { Channel } from './channel.js';
import { sealValue } from './json-value.js';
import { checkProgram, checkRestartProgram, ownProgram, type RestartProgram } from './program.js';
import { PROTOCOL, VARIABLE } from './protocol.js';
import { RestartError, type RestartRefusal } from './restart-error.js';

/** How long the new process may take by default until it is ready, in milliseconds. */
const READY_WITHIN = 60_000;

/** How long the service manager may take to look at what it was told, in milliseconds. */
const BARRIER = 5000;

/** How long a process that has said that it ends, or seems to, may take for that, in milliseconds. */
const LAST_MOMENTS = 1000;

/** How many descriptors must be left beside those that the hand-over needs. */
const SPARE_FDS = 32;

/** Where the new process finds its end of the channel. */
const CHANNEL_FD = 3;

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

/** How far a restart has come, in the order in which it goes. */
export type RestartPhase =
  /** The new process is there, and has what it was handed in its channel. */
  | 'spawned'
  /** It has taken it. */
  | 'taken'
  /** It has the state. */
  | 'state-sent'
  /** It is ready to serve. */
  | 'ready'
  /** It may serve; what is exclusive is not served by this process any more. */
  | 'accept'
  /** It serves, and this process does not any more. */
  | 'accepting'
  /** The service manager was told of it. */
  | 'told'
  /** The service manager has heard it. */
  | 'heard'
  /** It is the service now. */
  | 'main';

/** What a process hands to its successor, and how. */
export interface HandOverPlan {
  /** The sockets. They stay this process's, too. */
  readonly sockets?: readonly HandedSocket[];
  /** Other descriptors, by name. They stay this process's, too. */
  readonly fds?: Readonly<Record<string, number | Fd>>;
  /** What the successor is to know, as JSON; asked for when it has taken the sockets, so that it is of the last moment. */
  readonly state?: () => unknown;
  /** What this process serves; it goes on when the restart fails. */
  readonly servings?: readonly Serving[];
  /** Pidfds of processes that this one has taken over from and that still have connections. */
  readonly draining?: readonly Fd[];
  /** The number of this process's generation, by default 0. */
  readonly generation?: number;
  /** By default what this process was started as, in the form that its files have by now. */
  readonly program?: RestartProgram;
  /** How long the successor may take until it is ready, in milliseconds; more when it tells of progress. By default 60,000. */
  readonly readyWithin?: number;
  /**
   * Called at each phase, before anything of the next one is done. What it throws fails the restart; at `main`, when it has been,
   * it is an uncaught exception.
   */
  readonly onPhase?: (phase: RestartPhase, pid: number) => void;
  /** Gives up when aborted, unless the service manager has been told already. */
  readonly signal?: AbortSignal;
}

/** The process that is the service now. This one may end when it has no more to do. */
export interface Successor extends Disposable {
  /** Its process id. */
  readonly pid: number;
  /**
   * When it has ended without a word, as by a crash: not when it ends in order, or has given way to another one itself. It is this
   * process's child, but is not reaped: when this process ends, too, its end is told to whoever is the parent then, a service manager
   * say, which learns nothing of it before.
   */
  readonly crashed: Promise<void>;
  /** Has it end as by SIGTERM: for a SIGTERM that was sent to this process while it was the service. */
  stop(): void;
  /** Has it tell the service manager that it is reloaded: for a reload that was asked of this process while it was the service. */
  reload(): void;
  /** Tells it what this process knew at last, as JSON. */
  tell(last: unknown): void;
  /** Closes what this process has of it. The successor goes on. */
  [Symbol.dispose](): void;
}

class StartedSuccessor implements Successor {
  readonly #channel: Channel;
  readonly #child: ChildProcess;
  readonly #watch: Subscription;
  readonly crashed: Promise<void>;

  /** Takes over the channel and the pidfd. */
  constructor(loop: EventLoop, channel: Channel, child: ChildProcess) {
    this.#channel = channel;
    this.#child = child;
    let crashed = () => {};
    this.crashed = new Promise((resolve) => {
      crashed = resolve;
    });
    this.#watch = loop
      .io(child.pidfd, { events: EPOLLIN, description: 'successor' })
      .pipe(take(1))
      .subscribe({
        next: () => {
          if (!this.#hasSaidBye()) crashed();
        },
        // The loop has finished meanwhile, and with it all interest.
        error: () => {},
      });
  }

  get pid(): number {
    return this.#child.pid;
  }

  #hasSaidBye(): boolean {
    for (let said = this.#channel.readNow(); said !== undefined; said = this.#channel.readNow()) {
      for (const fd of said.fds) fd.close();
      if (said.message.type === 'bye') return true;
    }
    return false;
  }

  stop(): void {
    this.#channel.send({ type: 'stop' });
  }

  reload(): void {
    this.#channel.send({ type: 'reload' });
  }

  tell(last: unknown): void {
    using file = sealValue('last state', last);
    this.#channel.send({ type: 'last' }, [file.number]);
  }

  [Symbol.dispose](): void {
    this.#watch.unsubscribe();
    this.#child[Symbol.dispose]();
    this.#channel[Symbol.dispose]();
  }
}

/**
 * Starts the program anew, hands it all that this process serves with, and has it take over, without a moment in which nobody
 * serves. When this resolves the new process is the service: the service manager knows it as its main process, and this process
 * serves only what it had begun. When it rejects nothing has changed.
 *
 * The new process calls `takeOver`. The order: it gets sockets, descriptors and the state; it begins what it needs and says that
 * it is ready; here all that is exclusive is paused; it serves; here the rest is paused; the service manager is told MAINPID and
 * READY at once, by this process, which NotifyAccess=main allows.
 * Rejects with RestartError, whose `reason` tells why.
 */
export async function handOver(loop: EventLoop, plan: HandOverPlan = {}): Promise<Successor> {
  checkMethods('loop', loop, 'an EventLoop', 'io', 'child');
  checkPlan(plan);
  if (process.pid === 1) throw new RestartError('pid-namespace');
  const program = plan.program ?? ownProgram();
  checkProgram(program);
  const attempt = new Attempt(loop, plan, program);
  try {
    await attempt.prepare();
    return await attempt.switchOver();
  } catch (error) {
    const errors = await attempt.undo(error instanceof RestartError && error.reason === 'failed');
    if (errors.length === 0) throw asRestartError(error, 'failed');
    throw new RestartError('failed', [error, ...errors].map(messageOf).join('; '), { cause: error });
  }
}

function asRestartError(error: unknown, reason: RestartRefusal): RestartError {
  if (error instanceof RestartError) return error;
  const isShort = isSystemError(error, ...NO_DESCRIPTORS);
  return new RestartError(isShort ? 'descriptors' : reason, messageOf(error), { cause: error });
}

function makeChannel(): [own: Fd, other: Fd] {
  try {
    return socketPair(SOCK_SEQPACKET);
  } catch (error) {
    throw asRestartError(error, 'failed');
  }
}

/** One try. */
class Attempt {
  readonly #loop: EventLoop;
  readonly #plan: HandOverPlan;
  readonly #channel: Channel;
  readonly #child: ChildProcess;
  readonly #watch: Subscription;
  readonly #given: AbortController = new AbortController();
  #timeout: NodeJS.Timeout | undefined;
  readonly #hasEnded: Promise<void>;
  #mayServe = false;
  #isTold = false;

  /** Starts the process, with all that it is handed in its channel already: so it need not wait for it. */
  constructor(loop: EventLoop, plan: HandOverPlan, program: RestartProgram) {
    this.#loop = loop;
    this.#plan = plan;
    const [own, other] = makeChannel();
    this.#channel = new Channel(own);
    try {
      sendInheritance(this.#channel, plan);
      this.#child = start(program, other);
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
    this.#watch = loop.child(this.#child, { priority: -5, description: 'new process' }).subscribe({
      next: ({ code, status }) => this.#giveUp(new RestartError('died', `${code} ${status}`)),
      complete: ended,
      error: ended,
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
    atLoad.clearTimeout(this.#timeout);
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
    atLoad.clearTimeout(this.#timeout);
    try {
      this.#phase('main');
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
    this.#watch.unsubscribe();
    return new StartedSuccessor(this.#loop, this.#channel, this.#child);
  }

  /**
   * Has all as it was.
   * @param endsByItself whether the new process has said so
   * @returns what has gone wrong by that
   */
  async undo(endsByItself: boolean): Promise<unknown[]> {
    atLoad.clearTimeout(this.#timeout);
    // As long as the channel is open the new process does not take this one for dead.
    if (endsByItself && !this.#mayServe) await this.#ended(LAST_MOMENTS);
    this.#child.kill('SIGKILL');
    await this.#hasEnded;
    this.#watch.unsubscribe();
    this.#child[Symbol.dispose]();
    this.#channel[Symbol.dispose]();
    const errors: unknown[] = [];
    for (const serving of this.#servings) {
      try {
        serving.resume();
      } catch (error) {
        errors.push(error);
      }
    }
    // Nobody else can say so by now, if NotifyAccess=all lets this process.
    if (this.#isTold) tell({ MAINPID: process.pid, READY: 1 });
    return errors;
  }

  /** @returns whether there is a service manager that hears it */
  #tellManager(): boolean {
    const message = { MAINPID: this.#child.pid, READY: 1, STATUS: '' } as const;
    try {
      return notify(message);
    } catch (error) {
      // It is there, and would take the end of this process for that of the service.
      if (isSystemError(error, 'ENOBUFS')) throw new RestartError('manager', messageOf(error), { cause: error });
      return tell(message);
    }
  }

  /** Waits until the service manager has heard it, for a time, or the new process is gone. */
  async #heard(): Promise<void> {
    const { signal } = this.#given;
    const barrier = notifyBarrier(this.#loop).pipe(catchError(() => EMPTY));
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
    atLoad.clearTimeout(this.#timeout);
    this.#timeout = atLoad.setTimeout(
      () => this.#giveUp(new RestartError('time-out', `${milliseconds} ms`)),
      milliseconds,
    );
  }

  async #send(message: Readonly<Record<string, unknown>>, fds: readonly number[] = []): Promise<void> {
    if (!this.#channel.send(message, fds)) throw await this.#whyGone();
  }

  async #sendState(): Promise<void> {
    const state = this.#plan.state?.();
    using file = state === undefined ? undefined : sealValue('state', state);
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
    let limit: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      limit = atLoad.setTimeout(resolve, atMost);
    });
    await Promise.race([this.#hasEnded, late]);
    atLoad.clearTimeout(limit);
  }

  #progress({ text, extend }: Readonly<Record<string, unknown>>): void {
    try {
      checkText('text', text);
      checkNumber('extend', extend, 0, 0x7fff_ffff);
    } catch (error) {
      throw new RestartError('protocol', messageOf(error), { cause: error });
    }
    tell({ STATUS: oneLine(text), EXTEND_TIMEOUT_USEC: extend * 1000 });
    this.#limit(extend);
  }
}

function sendInheritance(channel: Channel, plan: HandOverPlan): void {
  const { sockets = [], fds = {}, draining = [], generation = 0 } = plan;
  using self = pidfdOpen(process.pid);
  const numbers = [
    ...sockets.map(({ fd }) => fd.number),
    ...Object.values(fds).map((fd) => (typeof fd === 'number' ? fd : fd.number)),
    ...draining.map(({ number }) => number),
    self.number,
  ];
  const free = descriptorLimit() - readdirSync('/proc/self/fd').length;
  if (free < numbers.length + SPARE_FDS) throw new RestartError('descriptors', `${free} are free`);
  channel.send({
    type: 'hello',
    protocol: PROTOCOL,
    generation: generation + 1,
    sockets: sockets.map(({ name, passed, fileIdentity }) => ({ name, passed, fileIdentity })),
    fds: Object.keys(fds),
    draining: draining.length + 1,
    startedByManager: process.env.SYSTEMD_EXEC_PID === String(process.pid),
  });
  for (let at = 0; at < numbers.length; at += MAX_PASSED_FDS) {
    channel.send({ type: 'fds' }, numbers.slice(at, at + MAX_PASSED_FDS));
  }
}

function start({ file, args }: RestartProgram, channel: Fd): ChildProcess {
  const env: NodeJS.ProcessEnv = { ...process.env, [VARIABLE]: String(CHANNEL_FD) };
  for (const name of OWN_VARIABLES) delete env[name];
  try {
    return spawn(file, { args, env, fds: [0, 1, 2, channel] });
  } catch (error) {
    throw asRestartError(error, 'program');
  }
}

function checkPlan(plan: HandOverPlan): void {
  checkObject('plan', plan);
  const { sockets, fds, state, servings, draining, generation, program, readyWithin, onPhase, signal } = plan;
  if (sockets !== undefined) checkArray('sockets', sockets, checkObject);
  if (fds !== undefined) checkObject('fds', fds);
  if (state !== undefined) checkFunction('state', state);
  if (servings !== undefined) {
    checkArray('servings', servings, (name, serving) => checkMethods(name, serving, 'a Serving', 'pause', 'resume'));
  }
  if (draining !== undefined) checkArray('draining', draining, checkObject);
  if (generation !== undefined) checkInteger('generation', generation, 0);
  if (program !== undefined) checkRestartProgram('program', program);
  if (readyWithin !== undefined) checkNumber('readyWithin', readyWithin, 0, 0x7fff_ffff);
  if (onPhase !== undefined) checkFunction('onPhase', onPhase);
  if (signal !== undefined) checkInstance('signal', signal, AbortSignal);
}
