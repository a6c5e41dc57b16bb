import {
  checkArray,
  checkBoolean,
  checkInteger,
  checkMethods,
  checkNumber,
  checkObject,
  checkText,
  type Fd,
  isSystemError,
} from '@sdrx/linux';
import { Decimal, EnvironmentError, readEnvironment } from '../kernel/environment.js';
import type { EventLoop } from '../loop.js';
import { messageOf } from '../service/message-of.js';
import type { HandedSocket } from '../service/service-socket.js';
import { tell } from '../service/tell.js';
import { Channel, type Received } from './channel.js';
import { readSealedValue } from './json-value.js';
import { PROTOCOL, VARIABLE } from './protocol.js';
import { checkRestartSystem, linuxRestarts, type RestartSystem } from './restart-system.js';

/** What the old process says first. */
interface Hello {
  readonly generation: number;
  readonly sockets: readonly { readonly name: string; readonly passed: boolean; readonly fileIdentity?: string }[];
  readonly fds: readonly string[];
  readonly draining: number;
  readonly startedByManager: boolean;
}

/** How this process has become the service. */
export type Succession =
  /** The old process has told the service manager, and everybody else may be told. */
  | 'main'
  /** The old process ended in the middle; what it had to tell, this process has told. */
  | 'alone';

/** What a process that gives way may still say. */
export type LastWords = LastRequest | LastState;

/** It was told to `stop` the service, or asked for a `reload`, when it was the service still. */
export interface LastRequest {
  /** Tells it from the other. */
  readonly type: 'stop' | 'reload';
}

/** What it knew at last, of `Successor.tell`. */
export interface LastState {
  /** Tells it from the other. */
  readonly type: 'last';
  /** The value. It comes from another program: check it. */
  readonly value: unknown;
}

/**
 * Looks whether this process was started by `handOver` of another one, and takes what that hands it. Removes the variable by
 * which it knows, and gives those that are about the process, as WATCHDOG_PID, this one's own values.
 * @param system what it runs on, by default Linux; a test has another one
 * @returns undefined when it was started in any other way
 * @throws EnvironmentError for a variable that names no such channel, TakeOverError when the other process speaks otherwise or is
 * gone already
 */
export function takeOver(
  environment: NodeJS.ProcessEnv = process.env,
  system: RestartSystem = linuxRestarts,
): Predecessor | undefined {
  checkObject('environment', environment);
  checkRestartSystem('system', system);
  const number = readEnvironment(environment, VARIABLE, Decimal);
  if (number === undefined) return undefined;
  const text = environment[VARIABLE];
  delete environment[VARIABLE];
  const end = system.takeChannel(number);
  if (end === undefined) throw new EnvironmentError(VARIABLE, text, 'a descriptor that the former process has passed');
  const channel = new Channel(system, end);
  try {
    const hello = readHello(channel);
    if (hello.startedByManager) environment.SYSTEMD_EXEC_PID = String(system.pid);
    if (environment.WATCHDOG_USEC !== undefined) environment.WATCHDOG_PID = String(system.pid);
    return new FormerProcess(system, channel, hello, readFds(channel, hello));
  } catch (error) {
    sayFailed(channel, error);
    channel[Symbol.dispose]();
    throw error;
  }
}

/** The process that this one takes over from does not say what is expected. */
export class TakeOverError extends Error {
  /** The class's. */
  override readonly name = 'TakeOverError';
}

/** The process that was the service before this one, and what it hands on. To be kept until it is gone. */
export interface Predecessor extends Disposable {
  /** How many times the service was restarted. */
  readonly generation: number;
  /** The sockets that nobody has taken yet: to be taken out, or they are closed when this process is ready. */
  readonly sockets: HandedSocket[];
  /** Pidfds of this process's predecessors that still run, the direct one the last. */
  readonly draining: readonly Fd[];
  /** Takes one of the other descriptors, which is the caller's from then on. */
  take(name: string): Fd | undefined;
  /**
   * Says that what was to be taken is taken, and waits for the state. @returns undefined if there is none
   * Rejects with TakeOverError when the predecessor is gone, as nobody knows the state then, or can't be read.
   */
  state(loop: EventLoop): Promise<unknown>;
  /**
   * Says that the start goes on, so that it may take longer.
   * @param extend how long from now, in milliseconds
   */
  progress(text: string, extend: number): void;
  /** Says that this process can't become the service, and why. It must end then; the old one goes on. */
  failed(error: unknown): void;
  /**
   * Says that this process is ready, and waits until it may serve. What nobody took is closed. If the predecessor is gone it may serve,
   * too. Rejects with TakeOverError when it can't be read: it goes on then, and this process must end.
   */
  ready(): Promise<void>;
  /** Says that this process serves, and waits until it is the service. Rejects as `ready` does. */
  accepting(): Promise<Succession>;
  /** Says that this process, which is the service, ends in order, or gives way to another one, so that nobody takes it for crashed. */
  bye(): void;
  /** What the predecessor says after that, until it is gone. */
  messages(): AsyncIterable<LastWords>;
  /** Closes all that nobody took, and the channel. */
  [Symbol.dispose](): void;
}

class FormerProcess implements Predecessor {
  readonly #system: RestartSystem;
  readonly #channel: Channel;
  readonly #fds: Map<string, Fd>;
  readonly generation: number;
  readonly sockets: HandedSocket[];
  readonly draining: readonly Fd[];

  constructor(system: RestartSystem, channel: Channel, hello: Hello, fds: readonly Fd[]) {
    this.#system = system;
    this.#channel = channel;
    this.generation = hello.generation;
    let at = 0;
    const next = () => fds[at++] as Fd;
    this.sockets = hello.sockets.map(({ name, passed, fileIdentity }) => ({ name, passed, fileIdentity, fd: next() }));
    this.#fds = new Map(hello.fds.map((name) => [name, next()]));
    this.draining = Array.from({ length: hello.draining }, next);
  }

  take(name: string): Fd | undefined {
    checkText('name', name);
    const fd = this.#fds.get(name);
    this.#fds.delete(name);
    return fd;
  }

  async state(loop: EventLoop): Promise<unknown> {
    checkMethods('loop', loop, 'an EventLoop', 'io');
    this.#channel.send({ type: 'taken' });
    this.#channel.start(loop);
    const received = await this.#next();
    if (received?.message.type !== 'state') throw unexpected(received, 'state');
    return receivedValue(this.#system, 'state', received);
  }

  progress(text: string, extend: number): void {
    checkText('text', text);
    checkNumber('extend', extend, 0, 0x7fff_ffff);
    this.#channel.send({ type: 'progress', text, extend });
  }

  failed(error: unknown): void {
    sayFailed(this.#channel, error);
  }

  async ready(): Promise<void> {
    this.#closeUntaken();
    this.#channel.send({ type: 'ready' });
    const received = await this.#next();
    if (received !== undefined && received.message.type !== 'accept') throw unexpected(received, 'accept');
  }

  async accepting(): Promise<Succession> {
    this.#channel.send({ type: 'accepting' });
    const received = await this.#next();
    if (received?.message.type === 'main') {
      this.#channel.send({ type: 'current' });
      return 'main';
    }
    // The old process was ended in the middle: there is nobody but this one, and it is heard if NotifyAccess=all lets it.
    tell(this.#system, { MAINPID: this.#system.pid, READY: 1 });
    return 'alone';
  }

  bye(): void {
    this.#channel.send({ type: 'bye' });
  }

  async *messages(): AsyncGenerator<LastWords> {
    for (let received = await this.#channel.next(); received !== undefined; received = await this.#channel.next()) {
      const { type } = received.message;
      if (type === 'last') yield { type, value: receivedValue(this.#system, 'last state', received) };
      else if (type === 'stop' || type === 'reload') yield { type };
      for (const fd of received.fds) fd.close();
    }
  }

  [Symbol.dispose](): void {
    this.#closeUntaken();
    for (const fd of this.draining) fd.close();
    this.#channel[Symbol.dispose]();
  }

  /** The next message; undefined if the former process is gone. One that can't be read says nothing of that: it goes on, and waits. */
  async #next(): Promise<Received | undefined> {
    const received = await this.#channel.next();
    const error = received === undefined ? unreadable(this.#channel) : undefined;
    if (error !== undefined) throw error;
    return received;
  }

  #closeUntaken(): void {
    for (const { fd } of this.sockets.splice(0)) fd.close();
    for (const fd of this.#fds.values()) fd.close();
    this.#fds.clear();
  }
}

/** What can't be said is seen by this process's end. */
function sayFailed(channel: Channel, error: unknown): void {
  try {
    channel.send({ type: 'failed', message: messageOf(error) });
  } catch (failure) {
    if (!isSystemError(failure)) throw failure;
  }
}

/** The old process has sent it before it started this one. */
function readHello(channel: Channel): Hello {
  const received = channel.readNow();
  if (received === undefined)
    throw unreadable(channel) ?? new TakeOverError('the former process is gone, or has said nothing');
  const { message, fds: early } = received;
  for (const fd of early) fd.close();
  try {
    if (message.protocol !== PROTOCOL) throw new RangeError(`protocol must be ${PROTOCOL}, not ${message.protocol}`);
    const { type, generation, sockets, fds, draining, startedByManager } = message;
    if (type !== 'hello') throw new TypeError(`type must be 'hello'`);
    checkInteger('generation', generation, 1);
    checkArray('sockets', sockets, (name, socket) => {
      checkObject(name, socket);
      const { name: own, passed, fileIdentity } = socket as Record<string, unknown>;
      checkText(`${name}.name`, own);
      checkBoolean(`${name}.passed`, passed);
      if (fileIdentity !== undefined) checkText(`${name}.fileIdentity`, fileIdentity);
    });
    checkArray('fds', fds, checkText);
    checkInteger('draining', draining, 1, 10_000);
    checkBoolean('startedByManager', startedByManager);
    return message as unknown as Hello;
  } catch (error) {
    throw new TakeOverError(`the former process speaks otherwise: ${messageOf(error)}`, { cause: error });
  }
}

function readFds(channel: Channel, { sockets, fds, draining }: Hello): Fd[] {
  const expected = sockets.length + fds.length + draining;
  const taken: Fd[] = [];
  while (taken.length < expected) {
    const received = channel.readNow();
    taken.push(...(received?.fds ?? []));
    if (received?.message.type === 'fds' && received.fds.length > 0 && taken.length <= expected) continue;
    for (const fd of taken) fd.close();
    throw (
      unreadable(channel) ??
      new TakeOverError(`the former process has announced ${expected} descriptors, and sent others`)
    );
  }
  return taken;
}

function receivedValue(system: RestartSystem, name: string, { fds }: Received): unknown {
  const [fd] = fds;
  try {
    return fd === undefined ? undefined : readSealedValue(system, name, fd);
  } finally {
    for (const each of fds) each.close();
  }
}

function unreadable({ failure }: Channel): TakeOverError | undefined {
  if (failure === undefined) return undefined;
  return new TakeOverError(`what the former process says could not be read: ${messageOf(failure)}`, { cause: failure });
}

function unexpected(received: Received | undefined, expected: string): TakeOverError {
  const said = received === undefined ? 'is gone' : `says '${received.message.type}'`;
  for (const fd of received?.fds ?? []) fd.close();
  return new TakeOverError(`the former process ${said} where '${expected}' was expected`);
}
