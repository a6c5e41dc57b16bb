import { atLoad, type Fd, isSystemError, shutdown } from '@sdrx/linux';
import { EventLoop } from '../loop.js';
import { checkRestartSystem, linuxRestarts, type RestartSystem } from '../restart/restart-system.js';
import { openAmong } from './open-sockets.js';
import { PassedFds } from './passed-fds.js';
import { PidFile, removeDraft } from './pid-file.js';
import { type HandedSocket, handedSocket, type ServiceSocket } from './service-socket.js';
import type { SocketDeclarations, Sockets } from './socket-declaration.js';
import { takeSockets } from './take-sockets.js';

/** The PID file of a service. */
export type OwnedPidFile = Pick<PidFile, 'claim' | 'replace' | 'leave' | typeof Symbol.dispose>;

/** How long the process may go on when all has ended, in milliseconds; then it is exited. */
const LINGERING = 1000;

/**
 * What a service asks the system for: all that a restart does, and what it stands on. By default Linux answers. A test has one
 * that it drives itself. A control socket and what is served are not among it.
 */
export interface ServiceSystem extends RestartSystem {
  /** Makes the service's loop. */
  makeLoop(): EventLoop;
  /** Takes what the service manager has passed. */
  passedFds(): PassedFds;
  /** As `openSockets`, of what is left of that. */
  openSockets<D extends SocketDeclarations>(
    passed: PassedFds,
    declared: D,
    conflicts: Readonly<Record<string, unknown>>,
  ): Sockets<D>;
  /** Takes those that are declared out of what a former process hands on, and makes what is missing. */
  takeSockets<D extends SocketDeclarations>(declared: D, handed: HandedSocket[]): Sockets<D>;
  /** Takes one that is not declared. */
  takeSocket(handed: HandedSocket): ServiceSocket;
  /** Has nobody connect to a socket any more, whoever has it open; those that wait in its queue are told so. */
  endListening(fd: Fd): void;
  /** As `new PidFile`. */
  makePidFile(path: string): OwnedPidFile;
  /** Removes what a process has left beside a PID file that was killed before it put its own there. */
  removeDraft(path: string, pid: number): void;
  /** The service has ended: something that the program has left open must not keep the process. */
  exitIfNeeded(status: number): void;
}

/** @throws TypeError for what is none */
export function checkServiceSystem(name: string, system: unknown): asserts system is ServiceSystem {
  checkRestartSystem(name, system);
}

/** What a service runs on. */
export const linuxService: ServiceSystem = {
  ...linuxRestarts,
  get pid() {
    return process.pid;
  },
  get environment() {
    return process.env;
  },
  makeLoop: () => new EventLoop(),
  passedFds: () => new PassedFds(),
  openSockets: openAmong,
  takeSockets,
  takeSocket: handedSocket,
  endListening,
  makePidFile: (path) => new PidFile(path),
  removeDraft,
  exitIfNeeded,
};

function endListening({ number }: Fd): void {
  try {
    shutdown(number);
  } catch (error) {
    // One of datagrams has no peer.
    if (!isSystemError(error, 'ENOTCONN')) throw error;
  }
}

function exitIfNeeded(status: number): void {
  const exit = () => {
    console.error(`the service has ended, but the process would go on: ${process.getActiveResourcesInfo().join(', ')}`);
    process.exit(status);
  };
  // If nothing is left, there is nobody to wait for it.
  atLoad.setTimeout(exit, LINGERING).unref();
}
