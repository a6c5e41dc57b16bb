import type { EventLoop } from '@sdrx/event';
import {
  atLoad,
  type ChildProcess,
  EAGAIN,
  ECONNRESET,
  ETIMEDOUT,
  Fd,
  type IdMapKind,
  isSystemError,
  ReceiveBuffer,
  read,
  SOCK_SEQPACKET,
  SystemError,
  setNonBlocking,
  socketPair,
  spawn,
  write,
} from '@sdrx/linux';
import type { Unsubscribable } from 'rxjs';
import { unreadableProgram } from './unreadable-program.js';

/*
 * What the launcher does. On `enter NAMESPACE INPUT OUTPUT`, which are descriptors of process $1, it starts the rest of its
 * arguments in that user namespace and tells the new process's id, 0 if it can't start any; on `maps PROGRAM NAMESPACE DIRECTORY`
 * it does the same with a program to which it gives the other two as descriptors 5 and 6; on `wait ID` it reaps one. When
 * the process that it works for is gone it kills all that it has started.
 *
 * A shell ends where it can't fork, but not in an eval that is called through `command`. Signals for all of a service are not
 * meant for it: it ends when it is no longer needed.
 */
const SCRIPT = `
trap '' HUP INT TERM
worker=$1
shift
while read -r what first input output; do
  case $what in
  enter) command eval 'nsenter --user=/proc/$worker/fd/$first --preserve-credentials -- "$@" \\
    </proc/$worker/fd/$input >/proc/$worker/fd/$output 2>/dev/null & echo $!' || echo 0 ;;
  maps) command eval '/proc/$worker/fd/$first 5</proc/$worker/fd/$input 6</proc/$worker/fd/$output \\
    </dev/null >/dev/null 2>&1 & echo $!' || echo 0 ;;
  wait) wait "$first" ;;
  esac
done
kill -9 0
`;

/** How long the message is with which maps come, in bytes: a number of 32 bits. */
const MAP_MESSAGE = 4;

/** When it is tried again to watch the launcher, in milliseconds. */
const WATCH_RETRY = 1000;

/** Who asked for a process is told its id, or why there is none. */
export interface LaunchObserver {
  readonly started: (pid: number) => void;
  readonly failed: (error: unknown) => void;
}

/** The two maps of a namespace, each open to be written. */
export type MapFiles = Readonly<Record<IdMapKind, Fd>>;

/** What maps are opened by and of; the descriptors are ours, and must stay open until the process runs, or is killed. */
export interface MapRequest {
  /** What the program sends along: 32 bits. */
  readonly number: number;
  /** By `mapProgram`. */
  readonly program: number;
  /** The user namespace that it enters. */
  readonly namespace: number;
  /** The directory in /proc of a process in the namespace whose maps they are. */
  readonly directory: number;
}

/** Who asked for maps to be opened is told this besides; the descriptors are the observer's from then on. */
export interface MapObserver extends LaunchObserver {
  readonly opened: (files: MapFiles) => void;
}

/**
 * Starts processes within user namespaces, through a process of its own (sh(1), nsenter(1)) that was started before there were
 * any clients:
 *
 * - A new process begins with copies of all descriptors of the one that starts it. Among a worker's may be such of clients as
 *   block when they are closed (a file of FUSE whose server does not answer), and who starts a process waits for that.
 * - When a worker is killed, its processes within namespaces end with it, also those that the namespace's owner has stopped.
 */
export class HelperLauncher implements Disposable {
  readonly #loop: EventLoop;
  #process: LauncherProcess | undefined;

  /** @param loop hears of what it starts */
  constructor(loop: EventLoop) {
    this.#loop = loop;
  }

  /**
   * Gets ready. To be called while there are no descriptors of clients; if it can't, the first that is to be launched has to
   * wait for it.
   */
  start(): void {
    try {
      this.#running();
    } catch (error) {
      if (!isSystemError(error)) throw error;
    }
  }

  /**
   * Starts a process in a user namespace that copies its input to its output.
   * @param namespace a descriptor of ours that must stay open until it runs, as the others must
   */
  launch(namespace: number, input: number, output: number, observer: LaunchObserver): void {
    try {
      this.#running().ask(`enter ${namespace} ${input} ${output}`, observer);
    } catch (error) {
      observer.failed(error);
    }
  }

  /**
   * Has a process enter a user namespace and open the maps of another process's one.
   * @returns what ends the interest in them
   */
  openMaps(request: MapRequest, observer: MapObserver): () => void {
    return this.#running().openMaps(request, observer);
  }

  /** Takes the maps that have been opened but not told of yet. */
  takeMaps(): void {
    this.#process?.takeMaps();
  }

  /** Reaps a process that was killed. */
  reap(pid: number): void {
    this.#process?.tell(`wait ${pid}`);
  }

  /** The launcher's own id, whose children are those that it starts; undefined while it has ended. */
  get pid(): number | undefined {
    return this.#process?.ended === false ? this.#process.pid : undefined;
  }

  /** Puts another one in the place of one that does not answer. All that it has started is killed. */
  replace(): void {
    this.#process?.[Symbol.dispose]();
    this.#process = undefined;
  }

  [Symbol.dispose](): void {
    this.replace();
  }

  #running(): LauncherProcess {
    if (this.#process?.ended !== false) this.#process = new LauncherProcess(this.#loop);
    return this.#process;
  }
}

/** The launcher while it runs. */
class LauncherProcess implements Disposable {
  readonly #child: ChildProcess;
  readonly #socket: Fd;
  /** What opens maps sends them here. */
  readonly #maps: Fd;
  readonly #reading: Unsubscribable | undefined;
  readonly #loop: EventLoop;
  /** While somebody waits for maps. */
  #receiving: Unsubscribable | undefined;
  /** Those who were not answered yet, in order. */
  readonly #asked: LaunchObserver[] = [];
  readonly #buffer = Buffer.alloc(4096);
  readonly #received = new ReceiveBuffer(MAP_MESSAGE);
  /** Who waits for maps, by the number that comes with them. */
  readonly #opening = new Map<number, MapObserver>();
  #text = '';
  #ended = false;

  constructor(loop: EventLoop) {
    const [ours, theirs] = socketPair();
    using inherited = theirs;
    let maps: Fd | undefined;
    try {
      setNonBlocking(inherited.number, false);
      const [receiving, sending] = socketPair(SOCK_SEQPACKET);
      maps = receiving;
      using sender = sending;
      setNonBlocking(sender.number, false);
      const { file, args } = unreadableProgram();
      this.#child = spawn('sh', {
        args: ['-c', SCRIPT, 'sh', String(process.pid), '/proc/self/fd/3', ...args],
        fds: [inherited, inherited, null, file, sender],
        // Once there are clients, one that takes the place of another has copies of their descriptors, too.
        others: 'close-on-exec',
        group: 'process-group',
        env: { PATH: process.env.PATH },
      });
    } catch (error) {
      ours.close();
      maps?.close();
      throw error;
    }
    this.#socket = ours;
    this.#maps = maps;
    this.#loop = loop;
    this.#watch(loop);
    this.#reading = loop
      .io(ours.number, { description: 'launcher' })
      .subscribe({ next: () => this.#read(), error: (error) => this.#end(error) });
  }

  get pid(): number {
    return this.#child.pid;
  }

  #watch(loop: EventLoop): void {
    loop.child(this.#child, { description: 'launcher' }).subscribe({
      // It is reaped after this: until then its id is its group's, and nobody else's.
      next: () => this.#end(new SystemError(ECONNRESET, 'read', 'launcher')),
      complete: () => this.#child[Symbol.dispose](),
      // No memory for a watch, say: one that can't be watched must not stay. Node's timer, as the loop lacks something.
      error: (error) => {
        this.#end(error);
        atLoad.setTimeout(() => this.#watch(loop), WATCH_RETRY).unref();
      },
    });
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Sends a command that is answered. */
  ask(command: string, observer: LaunchObserver): void {
    if (this.tell(command)) this.#asked.push(observer);
    else observer.failed(new SystemError(EAGAIN, 'fork'));
  }

  openMaps({ number, program, namespace, directory }: MapRequest, observer: MapObserver): () => void {
    this.#opening.set(number, observer);
    this.#receiving ??= this.#loop
      .io(this.#maps.number, { description: 'maps' })
      .subscribe({ next: () => this.takeMaps(), error: (error) => this.#end(error) });
    this.ask(`maps ${program} ${namespace} ${directory}`, observer);
    return () => {
      this.#opening.delete(number);
      if (this.#opening.size === 0) this.#receiveNoMore();
    };
  }

  takeMaps(): void {
    if (this.#ended) return;
    try {
      for (;;) {
        const fds: number[] = [];
        const length = this.#received.receive(this.#maps.number, fds);
        if (length === undefined) return;
        const [uids, gids, ...others] = fds.map((fd) => new Fd(fd));
        const opening = length === MAP_MESSAGE ? this.#opening.get(this.#received.bytes.readUInt32LE(0)) : undefined;
        if (opening !== undefined && uids !== undefined && gids !== undefined && others.length === 0) {
          opening.opened({ uid_map: uids, gid_map: gids });
          continue;
        }
        for (const fd of [uids, gids, ...others]) fd?.close();
        if (length === 0) return;
      }
    } catch (error) {
      this.#end(error);
    }
  }

  /** Sends a command. @returns false if it takes none now, or has ended */
  tell(command: string): boolean {
    if (this.#ended) return false;
    const line = Buffer.from(`${command}\n`);
    try {
      const written = write(this.#socket.number, line);
      // A part of one can't be taken back; lines are so short that it does not come to that.
      if (written !== undefined && written < line.length) this.#end(new SystemError(EAGAIN, 'write', 'launcher'));
      return written === line.length;
    } catch (error) {
      this.#end(error);
      return false;
    }
  }

  [Symbol.dispose](): void {
    this.#end(new SystemError(ETIMEDOUT, 'fork'));
  }

  #read(): void {
    try {
      const count = read(this.#socket.number, this.#buffer);
      if (count === undefined) return;
      if (count === 0) {
        this.#end(new SystemError(ECONNRESET, 'read', 'launcher'));
        return;
      }
      this.#text += this.#buffer.toString('latin1', 0, count);
    } catch (error) {
      this.#end(error);
      return;
    }
    for (let end = this.#text.indexOf('\n'); end >= 0; end = this.#text.indexOf('\n')) {
      const pid = Number(this.#text.slice(0, end));
      this.#text = this.#text.slice(end + 1);
      const observer = this.#asked.shift();
      if (pid > 0) observer?.started(pid);
      else observer?.failed(new SystemError(EAGAIN, 'fork'));
    }
  }

  #receiveNoMore(): void {
    this.#receiving?.unsubscribe();
    this.#receiving = undefined;
  }

  /** Ends it and all that it has started; whoever waits gets the error. */
  #end(error: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    // Undefined if it ends as it begins.
    this.#reading?.unsubscribe();
    this.#receiveNoMore();
    this.#socket.close();
    this.#maps.close();
    try {
      process.kill(-this.#child.pid, 'SIGKILL');
    } catch (failure) {
      if (!isSystemError(failure, 'ESRCH', 'EPERM')) throw failure;
    }
    for (const { failed } of this.#asked.splice(0)) failed(error);
  }
}
