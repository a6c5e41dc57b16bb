import { openSync } from 'node:fs';
import type { EventLoop } from '@sdrx/event';
import {
  duplicate,
  EPOLLIN,
  ETIMEDOUT,
  Fd,
  type IdMapKind,
  isSystemError,
  O_DIRECTORY,
  O_PATH,
  pidfdOpen,
  pidfdSendSignal,
  SystemError,
  write,
} from '@sdrx/linux';
import { Observable, type Subscriber } from 'rxjs';
import { attempt } from '../program/attempt.js';
import type { HelperLauncher, MapFiles } from './helper-launcher.js';
import { mapProgram } from './map-program.js';
import { formatIdMap, type NamespaceProcess, notEntered, parentOf } from './namespace-process.js';

/** How long it may take to have the maps opened, in milliseconds. It takes three where nobody is in the way. */
const LIMIT = 5000;

/** What writes the maps of a namespace. */
export type MapWriter = Pick<NamespaceProcess, 'writeMap'>;

/**
 * Opens the maps of a user namespace that is not directly below ours; emits once, and to unsubscribe closes them. The kernel has
 * a map written by who opened it in the namespace itself, where one may do next to nothing, or in the one above. So a process opens
 * them there and passes them to us. The owner of that namespace may stop, slow down or kill it, which is waited for so long only.
 *
 * Fails with ETIMEDOUT; EAGAIN when no process could be started; with an error if it ended before it opened them.
 * @param above the namespace above, whose descriptor must stay open
 * @param directory in /proc of a process in the namespace, whose descriptor must stay open
 */
export function openMaps(
  loop: EventLoop,
  launcher: HelperLauncher,
  above: number,
  directory: number,
): Observable<MapWriter> {
  return new Observable((subscriber) => {
    const fail = (error: unknown) => subscriber.error(error);
    const limit = loop.time({ after: LIMIT, description: 'opening of maps' }).subscribe({
      next: () => fail(new SystemError(ETIMEDOUT, 'setns', 'user namespace above')),
      error: fail,
    });
    subscriber.add(limit);
    new Opening(loop, launcher, subscriber).begin(above, directory, () => limit.unsubscribe());
  });
}

/** How many there have been. */
let openings = 0;

/** A process that opens maps, and then these. */
class Opening {
  readonly #loop: EventLoop;
  readonly #launcher: HelperLauncher;
  readonly #subscriber: Subscriber<MapWriter>;
  /** What the process opens by the numbers of our descriptors, so that these must be nothing else before it is killed. */
  readonly #lent: Fd[] = [];
  #files: MapFiles | undefined;
  #pid: number | undefined;
  #pidfd: Fd | undefined;
  #isAsked = false;

  constructor(loop: EventLoop, launcher: HelperLauncher, subscriber: Subscriber<MapWriter>) {
    this.#loop = loop;
    this.#launcher = launcher;
    this.#subscriber = subscriber;
  }

  begin(above: number, directory: number, done: () => void): void {
    this.#subscriber.add(() => {
      if (!this.#isAsked) this.#end();
    });
    try {
      openings = (openings + 1) % 2 ** 32;
      const request = {
        number: openings,
        program: this.#lend(mapProgram(openings)),
        namespace: this.#lend(duplicate(above)),
        directory: this.#lend(duplicate(directory)),
      };
      this.#isAsked = true;
      const withdraw = this.#launcher.openMaps(request, {
        started: (pid) => this.#started(pid),
        failed: (error) => {
          this.#isAsked = false;
          this.#subscriber.error(error);
          this.#end();
        },
        opened: (files) => {
          done();
          this.#opened(files);
        },
      });
      this.#subscriber.add(withdraw);
    } catch (error) {
      this.#isAsked = false;
      this.#subscriber.error(error);
      this.#end();
    }
  }

  #lend(fd: Fd): number {
    this.#lent.push(fd);
    return fd.number;
  }

  #started(pid: number): void {
    this.#isAsked = false;
    this.#pid = pid;
    try {
      this.#pidfd = pidfdOpen(pid);
      using directory = new Fd(openSync(`/proc/${pid}`, O_PATH | O_DIRECTORY));
      // Ended already, it may have been reaped with another one, and its id be somebody else's.
      if (parentOf(directory) !== this.#launcher.pid) this.#forgetProcess();
    } catch (error) {
      this.#forgetProcess();
      if (!isSystemError(error, 'ESRCH', 'ENOENT')) {
        // It can't be ended but with all others.
        this.#launcher.replace();
        this.#subscriber.error(error);
      }
    }
    if (this.#subscriber.closed) this.#end();
    else if (this.#files === undefined) this.#watch();
  }

  #forgetProcess(): void {
    this.#pidfd?.close();
    this.#pidfd = undefined;
  }

  /** Fails if it ends without having sent anything. */
  #watch(): void {
    const ended = () => {
      this.#launcher.takeMaps();
      if (this.#files === undefined) this.#subscriber.error(notEntered());
    };
    if (this.#pidfd === undefined) {
      ended();
      return;
    }
    const watch = this.#loop.io(this.#pidfd.number, { events: EPOLLIN, description: 'opening of maps' });
    const watching = watch.subscribe({
      next: () => {
        watching.unsubscribe();
        ended();
      },
      error: (error) => this.#subscriber.error(error),
    });
    this.#subscriber.add(watching);
  }

  #opened(files: MapFiles): void {
    if (this.#subscriber.closed) {
      for (const file of Object.values(files)) file.close();
      return;
    }
    this.#files = files;
    this.#subscriber.next({
      writeMap: (kind: IdMapKind, ...entries) => {
        write(files[kind].number, formatIdMap(entries));
      },
    });
  }

  /** Killed, since the owner of the namespace above may have stopped it. */
  #end(): void {
    for (const file of Object.values(this.#files ?? {})) file.close();
    this.#files = undefined;
    const pidfd = this.#pidfd?.number;
    if (pidfd !== undefined) attempt(() => pidfdSendSignal(pidfd, 'SIGKILL'));
    this.#forgetProcess();
    // What it has sent and nobody waits for any more would hold its namespace alive.
    this.#launcher.takeMaps();
    for (const fd of this.#lent.splice(0)) fd.close();
    if (this.#pid !== undefined) this.#launcher.reap(this.#pid);
    this.#pid = undefined;
  }
}
