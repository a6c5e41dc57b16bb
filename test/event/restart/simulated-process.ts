import {
  type EventLoop,
  type HandedSocket,
  type Later,
  type Notification,
  PassedFds,
  type RestartProgram,
  type ServiceSocket,
  type ServiceSystem,
  type SocketDeclarations,
  type Sockets,
  type StartedProcess,
} from '@sdrx/event';
import type { VirtualChild, VirtualDescriptor, VirtualLoop } from '@sdrx/event/testing';
import {
  EADDRINUSE,
  EBADF,
  EPOLLHUP,
  ESRCH,
  Fd,
  isSystemError,
  type ReceiveBuffer,
  type Signal,
  SystemError,
  signalNumber,
} from '@sdrx/linux';
import { finalize, map, Observable, type Subscription, take } from 'rxjs';
import { OpenFile } from './open-file.js';
import { RefusingLoop } from './refusing-loop.js';
import { ChannelEnd } from './simulated-channel.js';
import { SimulatedFd } from './simulated-fd.js';
import { DraftedPidFile, Listener, type PidFilePath, ProcessHandle, SealedFile } from './simulated-files.js';

/** How a process ended. */
export interface End {
  readonly code: 'exited' | 'killed' | 'dumped';
  readonly status: number;
}

/** What a process asks its system for. */
export type CallName =
  | 'later'
  | 'notify'
  | 'notifyBarrier'
  | 'channel'
  | 'takeChannel'
  | 'send'
  | 'receive'
  | 'ownPidfd'
  | 'freeDescriptors'
  | 'signal'
  | 'checkProgram'
  | 'start'
  | 'kill'
  | 'seal'
  | 'readSealed'
  | 'openSockets'
  | 'takeSockets'
  | 'endListening'
  | 'makePidFile'
  | 'claim'
  | 'replace'
  | 'removeDraft'
  | 'watch';

/** What is around a process. */
export interface ProcessWorld {
  /** Its time. */
  readonly loop: VirtualLoop;
  readonly processes: readonly SimulatedProcess[];
  /** What lies where clients look for it. */
  readonly paths: Map<string, Listener>;
  readonly pidFile: PidFilePath;
  /** How long it takes until somebody notices something, in milliseconds. */
  delay(): number;
  /** Calls when a process, or those around it, notice something: one thing after the other. */
  notice(process: SimulatedProcess, call: () => void): void;
  after(milliseconds: number, call: () => void): Subscription;
  /** A process asks for something. Throws what that fails with. */
  called(process: SimulatedProcess, call: CallName): void;
  /** Whether there is no room for a message. */
  isSendingFull(): boolean;
  /** A message as it arrives. */
  rewrites(process: SimulatedProcess, message: Uint8Array): Uint8Array;
  freeDescriptors(): number;
  notify(process: SimulatedProcess, notification: Notification): boolean;
  barrier(process: SimulatedProcess, heard: () => void): void;
  fork(
    parent: SimulatedProcess,
    environment: NodeJS.ProcessEnv,
    child: VirtualChild,
    channel: OpenFile,
  ): SimulatedProcess;
  processEnded(process: SimulatedProcess): void;
  /** The service in it is over. */
  serviceEnded(process: SimulatedProcess): void;
}

/** The descriptor by which a new process has its end of the channel. */
const CHANNEL = 3;

/**
 * A process of a world: the system that the service in it asks. Once it has ended nothing that its code still does, until it waits for
 * something, has an effect.
 */
export class SimulatedProcess implements ServiceSystem {
  readonly loop: RefusingLoop;
  /** What the service manager is told and by whom this process was started; undefined for the service manager. */
  readonly handle = new ProcessHandle();
  /** How many calls it has made. */
  calls = 0;
  /** How many timers wait. */
  timers = 0;
  isFrozen = false;
  readonly #world: ProcessWorld;
  readonly #files = new Map<number, { readonly file: OpenFile; readonly descriptor: VirtualDescriptor }>();
  readonly #missed: (() => void)[] = [];
  #end: End | undefined;

  constructor(
    world: ProcessWorld,
    readonly pid: number,
    readonly parent: SimulatedProcess | undefined,
    readonly environment: NodeJS.ProcessEnv,
    /** What the parent's loop watches. */
    readonly child: VirtualChild | undefined,
    channel: OpenFile | undefined,
  ) {
    this.#world = world;
    this.loop = new RefusingLoop({ beside: world.loop });
    this.loop.watches = () => this.#makes('watch');
    if (channel !== undefined) this.#openAt(CHANNEL, channel);
  }

  get runs(): boolean {
    return this.#end === undefined;
  }

  get end(): End | undefined {
    return this.#end;
  }

  /** Whether its end was taken note of: by its parent, or by the service manager, which has the orphans. */
  get isReaped(): boolean {
    return !this.runs && (this.child === undefined || this.child.reaped || this.parent?.runs === false);
  }

  /** How many descriptors are open. */
  get open(): number {
    return this.#files.size;
  }

  /** The process ends. */
  ends(end: End): void {
    if (!this.runs) return;
    this.#end = end;
    this.loop.kill();
    for (const number of [...this.#files.keys()]) this.#close(number);
    this.#world.notice(this.parent ?? this, () => {
      this.#tellParent(end);
      this.handle.ended();
    });
    this.#world.processEnded(this);
  }

  /** It gets a signal. One that it does not listen to ends it. */
  raise(signal: Signal): void {
    if (!this.runs) return;
    if (signal === 'SIGKILL') this.ends({ code: 'killed', status: signalNumber(signal) });
    else if (signal === 'SIGSTOP' || signal === 'SIGCONT') this.#freeze(signal === 'SIGSTOP');
    else if (this.loop.listensTo(signal)) this.loop.send(signal);
    else this.ends({ code: 'killed', status: signalNumber(signal) });
  }

  // What its service asks for.

  readonly later: Later = (milliseconds, call) => {
    if (!this.#makes('later')) return () => {};
    this.timers++;
    // Never at once, as with Node.
    const timer = this.#world.after(Math.max(milliseconds, 0.01), () => {
      this.timers--;
      if (this.isFrozen) this.#missed.push(call);
      else if (this.runs) call();
    });
    return () => {
      if (timer.closed) return;
      this.timers--;
      timer.unsubscribe();
    };
  };

  notify(notification: Notification): boolean {
    return this.#makes('notify') && this.#world.notify(this, notification);
  }

  notifyBarrier(loop: EventLoop): Observable<void> {
    return new Observable<void>((subscriber) => {
      if (!this.#makes('notifyBarrier')) return undefined;
      const descriptor = this.loop.openDescriptor();
      this.#world.barrier(this, () => {
        if (!descriptor.closed) descriptor.ready(EPOLLHUP);
      });
      const heard = loop.io(descriptor.number, { events: EPOLLHUP, description: 'notify barrier' }).pipe(
        take(1),
        map(() => undefined),
        finalize(() => descriptor[Symbol.dispose]()),
      );
      return heard.subscribe(subscriber);
    });
  }

  channel(): readonly [Fd, Fd] {
    if (!this.#makes('channel')) return [new Fd(-1), new Fd(-1)];
    const [own, other] = ChannelEnd.pair((call) => this.#world.notice(this, call));
    return [this.#open(own), this.#open(other)];
  }

  takeChannel(number: number): Fd | undefined {
    if (!this.#makes('takeChannel')) return new Fd(-1);
    if (number !== CHANNEL) return undefined;
    // It is watched by the number that it has in the loop.
    const { file, descriptor } = this.#at(CHANNEL);
    this.#files.delete(CHANNEL);
    this.#files.set(descriptor.number, { file, descriptor });
    return this.takeFd(descriptor.number);
  }

  send(channel: number, message: Uint8Array, fds: readonly number[]): number | undefined {
    if (!this.#makes('send')) return 0;
    if (this.#world.isSendingFull()) return undefined;
    const bytes = this.#world.rewrites(this, message);
    return this.#channelAt(channel).send({ bytes, files: fds.map((fd) => this.#at(fd).file) });
  }

  receive(channel: number, buffer: ReceiveBuffer, fds: number[]): number | undefined {
    let truncated: unknown;
    try {
      if (!this.#makes('receive')) return undefined;
    } catch (error) {
      if (!isSystemError(error, 'EMFILE')) throw error;
      truncated = error;
    }
    const message = this.#channelAt(channel).receive();
    if (message === undefined) return undefined;
    if (message === 'end') return 0;
    if (truncated !== undefined && message.files.length > 0) {
      // The message is taken, its descriptors are lost.
      for (const file of message.files) file.release();
      throw truncated;
    }
    for (const file of message.files) {
      fds.push(this.#openNumber(file));
      file.release();
    }
    return Buffer.from(message.bytes).copy(buffer.bytes);
  }

  takeFd(number: number): Fd {
    return new SimulatedFd(number, () => this.#close(number));
  }

  ownPidfd(): Fd {
    return this.#makes('ownPidfd') ? this.#open(this.handle) : new Fd(-1);
  }

  freeDescriptors(): number {
    return this.#makes('freeDescriptors') ? this.#world.freeDescriptors() : 0;
  }

  hasEnded(pidfd: number): boolean {
    return this.runs && !this.#processAt(pidfd).runs;
  }

  signal(pidfd: number, signal: Signal): void {
    if (!this.#makes('signal')) return;
    const process = this.#processAt(pidfd);
    if (process.isReaped) throw new SystemError(ESRCH, 'pidfd_send_signal', String(pidfd));
    process.raise(signal);
  }

  checkProgram(): void {
    this.#makes('checkProgram');
  }

  start(_: RestartProgram, channel: Fd, environment: NodeJS.ProcessEnv): StartedProcess {
    if (!this.#makes('start')) return nothing;
    const child = this.loop.startChild();
    const process = this.#world.fork(this, environment, child, this.#at(channel.number).file);
    const pidfd = this.#open(process.handle);
    return {
      pid: process.pid,
      pidfd,
      child: child.pid,
      kill: (signal) => {
        if (!this.#makes('kill') || child.reaped) return false;
        process.raise(signal);
        return true;
      },
      reap: () => {
        if (this.runs && !child.ended) child.die(signalNumber('SIGKILL'));
        if (this.runs) child.reap();
      },
      [Symbol.dispose]: () => pidfd.close(),
    };
  }

  seal(_: string, text: string): Fd {
    return this.#makes('seal') ? this.#open(new SealedFile(text)) : new Fd(-1);
  }

  readSealed(name: string, fd: Fd): string {
    if (!this.#makes('readSealed')) return 'null';
    const { file } = this.#at(fd.number);
    if (!(file instanceof SealedFile)) throw new TypeError(`${name} must be in a sealed file in memory`);
    return file.text;
  }

  makeLoop(): EventLoop {
    return this.loop;
  }

  passedFds(): PassedFds {
    return new PassedFds({});
  }

  openSockets<D extends SocketDeclarations>(_: PassedFds, declared: D): Sockets<D> {
    const names = Object.keys(declared);
    if (!this.#makes('openSockets')) throw new SystemError(EBADF, 'socket');
    if (names.some((name) => this.#world.paths.get(name)?.isOpen)) throw new SystemError(EADDRINUSE, 'bind');
    return Object.fromEntries(names.map((name) => [name, this.#listen(name)])) as Sockets<D>;
  }

  takeSockets<D extends SocketDeclarations>(declared: D, handed: HandedSocket[]): Sockets<D> {
    this.#makes('takeSockets');
    const sockets = Object.keys(declared).map((name) => {
      const index = handed.findIndex((socket) => socket.name === name);
      const [found] = index === -1 ? [] : handed.splice(index, 1);
      return [name, found === undefined ? this.#listen(name) : this.takeSocket(found)] as const;
    });
    return Object.fromEntries(sockets) as Sockets<D>;
  }

  takeSocket({ fd }: HandedSocket): ServiceSocket {
    return this.#socket(fd);
  }

  endListening({ number }: Fd): void {
    const { file } = this.#at(number);
    if (this.#makes('endListening') && file instanceof Listener) file.isShut = true;
  }

  makePidFile(): DraftedPidFile {
    const isMade = this.#makes('makePidFile');
    return new DraftedPidFile(
      this.#world.pidFile,
      this.pid,
      (call) => !isMade || this.#makes(call),
      () => this.runs,
    );
  }

  removeDraft(_: string, pid: number): void {
    if (this.#makes('removeDraft')) this.#world.pidFile.drafts.delete(pid);
  }

  exitIfNeeded(status: number): void {
    if (!this.runs) return;
    this.#world.serviceEnded(this);
    this.ends({ code: 'exited', status });
  }

  /** Something is asked for. @returns false if the process has ended, also by that. */
  #makes(call: CallName): boolean {
    if (!this.runs) return false;
    this.calls++;
    this.#world.called(this, call);
    return this.runs;
  }

  #tellParent({ code, status }: End): void {
    const { child } = this;
    // Its parent may have waited for it already.
    if (child === undefined || child.ended) return;
    if (code === 'exited') child.exit(status);
    else child.die(status, code);
  }

  #freeze(on: boolean): void {
    this.isFrozen = on;
    this.loop.freeze(on);
    if (!on) for (const call of this.#missed.splice(0)) call();
  }

  #listen(name: string): ServiceSocket {
    const listener = new Listener(name);
    this.#world.paths.set(name, listener);
    return this.#socket(this.#open(listener));
  }

  #socket(fd: Fd): ServiceSocket {
    const { file } = this.#at(fd.number);
    const { paths } = this.#world;
    return {
      fd,
      address: { family: 'unix', path: '/simulated' },
      passed: false,
      connected: false,
      leave: () => fd.close(),
      [Symbol.dispose]: () => {
        if (this.runs && file instanceof Listener && paths.get(file.name) === file) paths.delete(file.name);
        fd.close();
      },
    };
  }

  #open(file: OpenFile): Fd {
    return this.takeFd(this.#openNumber(file));
  }

  #openNumber(file: OpenFile): number {
    const descriptor = this.loop.openDescriptor();
    this.#files.set(descriptor.number, { file, descriptor });
    file.hold(descriptor);
    return descriptor.number;
  }

  #openAt(number: number, file: OpenFile): void {
    const descriptor = this.loop.openDescriptor();
    this.#files.set(number, { file, descriptor });
    file.hold(descriptor);
  }

  #close(number: number): void {
    const open = this.#files.get(number);
    if (open === undefined) return;
    this.#files.delete(number);
    if (!open.descriptor.closed) open.descriptor[Symbol.dispose]();
    open.file.release(open.descriptor);
  }

  #at(number: number): { readonly file: OpenFile; readonly descriptor: VirtualDescriptor } {
    const open = this.#files.get(number);
    if (open !== undefined) return open;
    // What has ended looks at nothing that is of any account.
    if (!this.runs) return { file: new OpenFile(), descriptor: this.loop.openDescriptor() };
    throw new SystemError(EBADF, 'fcntl', String(number));
  }

  #channelAt(number: number): ChannelEnd {
    const { file } = this.#at(number);
    if (!(file instanceof ChannelEnd)) throw new SystemError(EBADF, 'sendmsg', String(number));
    return file;
  }

  #processAt(pidfd: number): SimulatedProcess {
    const { file } = this.#at(pidfd);
    const process = this.#world.processes.find(({ handle }) => handle === file);
    if (process === undefined) throw new SystemError(EBADF, 'pidfd_send_signal', String(pidfd));
    return process;
  }
}

/** By which number a process was started that finds its channel. */
export function channelVariable({ environment }: SimulatedProcess): number {
  return Number(environment.SDRX_RESTART_FD);
}

/** What a process has started that had ended by then. */
const nothing: StartedProcess = {
  pid: 0,
  pidfd: new Fd(-1),
  child: 0,
  kill: () => false,
  reap: () => {},
  [Symbol.dispose]: () => {},
};
