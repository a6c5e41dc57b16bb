import { readdirSync } from 'node:fs';
import {
  type ChildProcess,
  checkMethods,
  describeFd,
  descriptorLimit,
  Fd,
  isOpen,
  isReadable,
  pidfdOpen,
  pidfdSendSignal,
  type ReceiveBuffer,
  type Signal,
  SOCK_SEQPACKET,
  sendMessage,
  setCloseOnExec,
  setNonBlocking,
  socketPair,
  spawn,
  WEXITED,
  waitPidfd,
} from '@sdrx/linux';
import type { Observable } from 'rxjs';
import type { Child } from '../kernel/kernel.js';
import type { EventLoop } from '../loop.js';
import { type Later, later } from '../service/later.js';
import type { Notification } from '../service/notification.js';
import { notify, notifyBarrier } from '../service/notify.js';
import { checkProgram, type RestartProgram } from './program.js';
import { linuxSealedFiles, type SealedFiles } from './sealed-files.js';

/** A process that was started to take over. */
export interface StartedProcess extends Disposable {
  /** Its id. */
  readonly pid: number;
  /** What is readable once it has ended; closed with this object. */
  readonly pidfd: Fd;
  /** What the loop is given to hear of its end. */
  readonly child: Child;
  /** Sends it a signal; false when it has ended and was reaped. */
  kill(signal: Signal): boolean;
  /** Waits for its end, and takes note of it: for one that was killed, and that no loop could watch. waitid(2) */
  reap(): void;
}

/**
 * What both ends of a graceful restart ask the system for; the loop aside, that is all that they have from outside. By default Linux
 * answers. A test has one that it drives itself, beside a `VirtualLoop`.
 */
export interface RestartSystem extends SealedFiles {
  /** This process's id. */
  readonly pid: number;
  /** The variables of this process, which it hands on. */
  readonly environment: NodeJS.ProcessEnv;
  /** Calls after a time. */
  readonly later: Later;
  /** As `notify`. */
  notify(notification: Notification): boolean;
  /** As `notifyBarrier`. */
  notifyBarrier(loop: EventLoop): Observable<void>;
  /** Both ends of a channel, over which go messages and descriptors. unix(7), SOCK_SEQPACKET. @throws EMFILE, ENFILE */
  channel(): readonly [own: Fd, other: Fd];
  /** Takes over the end of one that this process was started with. @returns undefined for a number that is no such end */
  takeChannel(number: number): Fd | undefined;
  /**
   * Sends a message by a channel.
   * @returns undefined if it takes nothing now
   * @throws EPIPE, ECONNRESET when the other end is closed, EMSGSIZE, ETOOMANYREFS
   */
  send(channel: number, message: Uint8Array, fds: readonly number[]): number | undefined;
  /** Receives one, as `ReceiveBuffer.receive`. */
  receive(channel: number, buffer: ReceiveBuffer, fds: number[]): number | undefined;
  /** Takes over a descriptor that was received. */
  takeFd(number: number): Fd;
  /** Opens a descriptor of this process. pidfd_open(2). @throws EMFILE, ENFILE */
  ownPidfd(): Fd;
  /** How many descriptors this process may still open. */
  freeDescriptors(): number;
  /** Whether the process of a pidfd has ended. */
  hasEnded(pidfd: number): boolean;
  /** Signals the process of a pidfd. pidfd_send_signal(2). @throws ESRCH, EPERM */
  signal(pidfd: number, signal: Signal): void;
  /** @throws RestartError for a program that can't be started, as far as can be seen before */
  checkProgram(program: RestartProgram): void;
  /** Starts a program with the end of a channel as its descriptor 3. @throws what `spawn` of @sdrx/linux does */
  start(program: RestartProgram, channel: Fd, environment: NodeJS.ProcessEnv): StartedProcess;
}

/** @throws TypeError for what is none */
export function checkRestartSystem(name: string, system: unknown): asserts system is RestartSystem {
  checkMethods(name, system, 'a RestartSystem', 'later', 'notify', 'channel', 'send', 'receive', 'start');
}

/** What a restart runs on. */
export const linuxRestarts: RestartSystem = {
  ...linuxSealedFiles,
  get pid() {
    return process.pid;
  },
  get environment() {
    return process.env;
  },
  later,
  notify,
  notifyBarrier,
  channel: () => socketPair(SOCK_SEQPACKET),
  takeChannel: (number) => {
    if (!isChannel(number)) return undefined;
    setCloseOnExec(number);
    setNonBlocking(number);
    return new Fd(number);
  },
  send: (channel, message, fds) => sendMessage(channel, message, { fds }),
  receive: (channel, buffer, fds) => buffer.receive(channel, fds),
  takeFd: (number) => new Fd(number),
  ownPidfd: () => pidfdOpen(process.pid),
  freeDescriptors: () => descriptorLimit() - readdirSync('/proc/self/fd').length,
  hasEnded: isReadable,
  signal: pidfdSendSignal,
  checkProgram,
  start: ({ file, args }, channel, env) => started(spawn(file, { args, env, fds: [0, 1, 2, channel] })),
};

function started(child: ChildProcess): StartedProcess {
  return {
    pid: child.pid,
    pidfd: child.pidfd,
    child,
    kill: (signal) => child.kill(signal),
    reap: () => void waitPidfd(child.pidfd.number, WEXITED),
    [Symbol.dispose]: () => child[Symbol.dispose](),
  };
}

function isChannel(number: number): boolean {
  if (number < 3 || number > 0x7fff_ffff || !isOpen(number)) return false;
  const found = describeFd(number);
  return found.kind === 'socket' && found.family === 'unix' && found.type === 'seqpacket' && !found.listening;
}
