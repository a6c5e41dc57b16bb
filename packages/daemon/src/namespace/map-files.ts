import type { EventLoop } from '@sdrx/event';
import { duplicate, EPOLLIN, ETIMEDOUT, type Fd, type IdMapKind, SystemError, write } from '@sdrx/linux';
import { Observable, type Subscriber } from 'rxjs';
import type { HelperLauncher, MapFiles } from './helper-launcher.js';
import { HelperProcess } from './helper-process.js';
import { mapProgram } from './map-program.js';
import { formatIdMap, type NamespaceProcess, notEntered } from './namespace-process.js';

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
  #process: HelperProcess | undefined;
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
    this.#process = new HelperProcess(this.#launcher, pid);
    let pidfd: Fd | undefined;
    try {
      pidfd = this.#process.open()?.pidfd;
    } catch (error) {
      this.#subscriber.error(error);
    }
    if (this.#subscriber.closed) this.#end();
    else if (this.#files === undefined) this.#watch(pidfd);
  }

  /**
   * Fails if it ends without having sent anything.
   * @param pidfd none if it has ended
   */
  #watch(pidfd: Fd | undefined): void {
    const ended = () => {
      this.#launcher.takeMaps();
      if (this.#files === undefined) this.#subscriber.error(notEntered());
    };
    if (pidfd === undefined) {
      ended();
      return;
    }
    const watch = this.#loop.io(pidfd.number, { events: EPOLLIN, description: 'opening of maps' });
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

  #end(): void {
    for (const file of Object.values(this.#files ?? {})) file.close();
    this.#files = undefined;
    this.#process?.[Symbol.dispose]();
    // What it has sent and nobody waits for any more would hold its namespace alive.
    this.#launcher.takeMaps();
    for (const fd of this.#lent.splice(0)) fd.close();
  }
}
