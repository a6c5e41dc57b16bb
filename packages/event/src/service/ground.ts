import { type Fd, localAddress } from '@sdrx/linux';
import { StoredInheritance } from '../restart/stored-inheritance.js';
import { type Predecessor, takeOver } from '../restart/take-over.js';
import { refuseConflicts } from './conflicts.js';
import { listenUnix } from './listening-socket.js';
import type { ServiceOptions } from './service-options.js';
import { type HandedSocket, handedSocket, ownSocket, type ServiceSocket, toHand } from './service-socket.js';
import type { OwnedPidFile, ServiceSystem } from './service-system.js';
import type { SocketDeclarations, Sockets } from './socket-declaration.js';

/** By which name the control socket is handed on. None of a socket that is declared may have it, as FileDescriptorName= can't. */
const CONTROL = ':control';

/** Who goes on with the service when this process ends. */
export type Heir =
  /** Nobody: its paths go with it. */
  | 'nobody'
  /** A process that has taken over from this one. */
  | 'successor'
  /** The process that this one was to take over from, and has not. */
  | 'predecessor';

/** What a service stands on from its first moment: what another process hands it, its sockets, its PID file. */
export class Ground<D extends SocketDeclarations> {
  /** Those of the predecessor that this program does not declare. */
  readonly #unwanted: ServiceSocket[];
  readonly #pidPath: string | undefined;

  private constructor(
    private readonly system: ServiceSystem,
    readonly predecessor: Predecessor | undefined,
    readonly sockets: Sockets<D>,
    readonly control: ServiceSocket | undefined,
    /** The sockets that this process has made. */
    private readonly made: ReadonlySet<ServiceSocket>,
    private readonly pidFile: OwnedPidFile | undefined,
    /** What a former process has left with the service manager. */
    readonly stored: StoredInheritance,
    { pidFile: pidPath }: ServiceOptions<D>,
  ) {
    this.#pidPath = pidPath;
    this.#unwanted = predecessor?.sockets.splice(0).map((socket) => system.takeSocket(socket)) ?? [];
  }

  /** Takes what there is and makes what is missing. When it throws, the predecessor has been told, and all is as before. */
  static prepare<D extends SocketDeclarations>(
    options: ServiceOptions<D>,
    system: ServiceSystem,
    report: (error: unknown) => void,
  ): Ground<D> {
    const { sockets: declared = {} as D, conflicts = {}, pidFile: pidPath, control: controlPath } = options;
    const predecessor = takeOver(system.environment, system);
    const handed = new Set(predecessor?.sockets.map(({ fd }) => fd));
    const isMade = ({ fd }: ServiceSocket) => !handed.has(fd);
    const opened: ServiceSocket[] = [];
    let pidFile: OwnedPidFile | undefined;
    let stored: StoredInheritance | undefined;
    try {
      using passed = system.passedFds();
      stored = new StoredInheritance(passed, report);
      const sockets =
        predecessor === undefined
          ? system.openSockets(passed, declared, conflicts)
          : system.takeSockets(declared, predecessor.sockets);
      opened.push(...socketsOf(sockets));
      if (predecessor !== undefined) refuseConflicts(namesOfPassed(sockets), conflicts);
      const control = controlPath === undefined ? undefined : openControl(controlPath, predecessor);
      if (control !== undefined) opened.push(control);
      pidFile = pidPath === undefined ? undefined : system.makePidFile(pidPath);
      if (predecessor === undefined) pidFile?.claim();
      return new Ground(
        system,
        predecessor,
        sockets,
        control,
        new Set(opened.filter(isMade)),
        pidFile,
        stored,
        options,
      );
    } catch (error) {
      predecessor?.failed(error);
      stored?.[Symbol.dispose]();
      pidFile?.[Symbol.dispose]();
      for (const socket of opened) {
        if (isMade(socket)) socket[Symbol.dispose]();
        else socket.leave();
      }
      predecessor?.[Symbol.dispose]();
      throw error;
    }
  }

  /** Whether the service manager has passed a socket. */
  get activated(): boolean {
    return namesOfPassed(this.sockets).length > 0;
  }

  /** Whether there is one connection, and will be no other. */
  get isConnection(): boolean {
    return socketsOf(this.sockets).some(({ connected }) => connected);
  }

  /** Takes a descriptor that a former process has handed on, in either way. */
  take(name: string): Fd | undefined {
    return this.predecessor?.take(name) ?? this.stored.take(name);
  }

  /** The sockets as another process is handed them. */
  toHand(): HandedSocket[] {
    const handed = namedSocketsOf(this.sockets).map(([name, socket]) => toHand(name, socket));
    return this.control === undefined ? handed : [...handed, toHand(CONTROL, this.control)];
  }

  /** Makes it this process's, which is the service now in the predecessor's place. @throws what rename(2) fails with */
  takePossession(): void {
    for (const socket of this.#unwanted.splice(0)) {
      // The predecessor has it open still: nobody is to wait in a queue that nobody looks at.
      if (!socket.passed) this.system.endListening(socket.fd);
      socket[Symbol.dispose]();
    }
    this.pidFile?.replace();
  }

  /** Has nobody connect any more to the sockets that go with this process. It can be controlled to its end. */
  refuseNewcomers(): void {
    for (const socket of socketsOf(this.sockets)) if (!socket.passed) this.system.endListening(socket.fd);
  }

  /** Removes what a process has left that was killed before it took possession. */
  cleanUpAfter(pid: number): void {
    if (this.#pidPath !== undefined) this.system.removeDraft(this.#pidPath, pid);
  }

  /** Closes all, and removes the paths that nobody goes on with. */
  close(heir: Heir): void {
    if (heir === 'successor') this.pidFile?.leave();
    else this.pidFile?.[Symbol.dispose]();
    const control = this.control === undefined ? [] : [this.control];
    for (const socket of [...socketsOf(this.sockets), ...control, ...this.#unwanted]) {
      if (heir === 'nobody' || (heir === 'predecessor' && this.made.has(socket))) socket[Symbol.dispose]();
      else socket.leave();
    }
  }
}

/** The predecessor's, if it is at the same path; else its own. */
function openControl(path: string, predecessor: Predecessor | undefined): ServiceSocket {
  const handed = predecessor?.sockets ?? [];
  const index = handed.findIndex(({ name, fd }) => name === CONTROL && isAt(fd, path));
  const [found] = index === -1 ? [] : handed.splice(index, 1);
  return found === undefined ? ownSocket(listenUnix(path, { mode: 0o600 })) : handedSocket(found);
}

function isAt(fd: Fd, path: string): boolean {
  const address = localAddress(fd.number);
  return address?.family === 'unix' && address.path === path;
}

function namedSocketsOf(sockets: object): (readonly [name: string, socket: ServiceSocket])[] {
  return Object.entries(sockets as Record<string, ServiceSocket | readonly ServiceSocket[] | undefined>).flatMap(
    ([name, one]) => [one ?? []].flat().map((socket) => [name, socket as ServiceSocket] as const),
  );
}

function socketsOf(sockets: object): ServiceSocket[] {
  return namedSocketsOf(sockets).map(([, socket]) => socket);
}

function namesOfPassed(sockets: object): string[] {
  return namedSocketsOf(sockets).flatMap(([name, { passed }]) => (passed ? [name] : []));
}
