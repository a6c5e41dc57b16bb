import { openSync, writeFileSync } from 'node:fs';
import type { EventLoop } from '@sdrx/event';
import {
  atLoad,
  duplicate,
  EPOLLIN,
  ETIMEDOUT,
  Fd,
  type IdMapEntry,
  type IdMapKind,
  pipe,
  pollNow,
  readIdMap,
  readKernelFile,
  SystemError,
  write,
} from '@sdrx/linux';
import { Observable, type Subscriber, take, type Unsubscribable } from 'rxjs';
import type { Quota } from '../limits/quota.js';
import type { HelperLauncher } from './helper-launcher.js';
import { HelperProcess } from './helper-process.js';

/** How long it may take to get a process into a namespace, in milliseconds. It takes three where nobody is in the way. */
const LIMIT = 5000;

/** When the launcher counts as stuck: so long after it was asked, in milliseconds. */
const LAUNCH_LIMIT = 2000;

/** How long one waits for a place until one asks again, at most, in milliseconds: at first, and after having asked often. */
const PLACE_INTERVAL = 10;
const LONGEST_PLACE_INTERVAL = 80;

/** When it is looked first whether a process is inside that has not said so, in milliseconds; then after twice as long, up to this. */
const FIRST_LOOK = 8;
const LONGEST_INTERVAL = 100;

/** Who starts processes within namespaces, and how many a user may have at a time. */
export interface NamespaceHelpers {
  readonly loop: EventLoop;
  readonly launcher: HelperLauncher;
  readonly helpers: Quota;
}

/**
 * A process inside of a user namespace, through whose files in /proc the namespace's maps are read and written.
 *
 * We can't be that process ourselves: setns(2) refuses to move a process with threads, as Node is one, and who has
 * joined a namespace has no rights left outside of it.
 */
export interface NamespaceProcess {
  /** The descriptor of its directory in /proc, open while it is subscribed to. */
  readonly directory: number;
  /** Throws ESRCH once the process is gone, as the namespace's owner may have killed it. */
  readMap(kind: IdMapKind): IdMapEntry[];
  /** Writes a map, once. user_namespaces(7). Throws EPERM if it has been written before, EINVAL where entries overlap, ESRCH. */
  writeMap(kind: IdMapKind, ...entries: readonly IdMapEntry[]): void;
  /** Denies setgroups(2) in the namespace and in all below it, for good. To be called before its groups are mapped. Throws ESRCH. */
  denySetgroups(): void;
}

/**
 * Starts a process in a user namespace and emits it as soon as it is inside; to unsubscribe ends it. The namespace's owner may
 * stop, slow down or kill it: nothing that it does itself is waited for once it has joined.
 *
 * Fails with ETIMEDOUT when it took too long to get there, also because the user has as many as allowed; EAGAIN when no
 * process could be started; with an error if it ends before it got there.
 * @param owner by whom it is counted
 * @param within how long it may take, with the wait for a place, in milliseconds
 */
export function enterUserNamespace(
  { loop, launcher, helpers }: NamespaceHelpers,
  namespace: number,
  owner: number,
  within = LIMIT,
): Observable<NamespaceProcess> {
  return new Observable((subscriber) => {
    const fail = (error: unknown) => subscriber.error(error);
    let entering: Entering | undefined;
    const limit = loop.time({ after: within, description: 'helper' }).subscribe({
      next: () => {
        entering?.isLate();
        fail(new SystemError(ETIMEDOUT, 'setns', 'user namespace'));
      },
      error: fail,
    });
    subscriber.add(limit);
    const takePlace = (interval: number): void => {
      const place = helpers.take(owner);
      if (place === undefined) {
        const after = (0.5 + Math.random() / 2) * interval;
        const next = () => takePlace(Math.min(1.5 * interval, LONGEST_PLACE_INTERVAL));
        subscriber.add(loop.time({ after, description: 'place of a helper' }).subscribe({ next, error: fail }));
        return;
      }
      entering = new Entering(loop, launcher, subscriber, limit, place);
      entering.begin(namespace);
    };
    takePlace(PLACE_INTERVAL);
  });
}

/** A process on its way into a namespace, and then in it, until the subscription ends. */
class Entering {
  readonly #loop: EventLoop;
  readonly #launcher: HelperLauncher;
  readonly #subscriber: Subscriber<NamespaceProcess>;
  readonly #limit: Unsubscribable;
  readonly #asked = atLoad.performanceNow();
  #process: HelperProcess | undefined;
  /** Its directory in /proc, and what becomes readable when it ends; undefined until it is there. */
  #directory: Fd | undefined;
  #pidfd: Fd | undefined;
  /** So that there is room for these two once it runs. */
  readonly #reserved: Fd[] = [];
  #echoed = false;
  #inside = false;
  /** Whether the launcher has not answered yet. */
  #isAsked = false;
  /**
   * What goes when the process is killed, or there will be none, rather than with the subscription: it opens descriptors by their
   * numbers, which somebody else's would have by then.
   */
  readonly #held: Disposable[];

  /** @param place is ours from now on */
  constructor(
    loop: EventLoop,
    launcher: HelperLauncher,
    subscriber: Subscriber<NamespaceProcess>,
    limit: Unsubscribable,
    place: Disposable,
  ) {
    this.#loop = loop;
    this.#launcher = launcher;
    this.#subscriber = subscriber;
    this.#limit = limit;
    this.#held = [place];
  }

  begin(namespace: number): void {
    this.#subscriber.add(() => {
      if (!this.#isAsked) this.#end();
    });
    try {
      const copy = this.#hold(duplicate(namespace));
      const [input, ourEnd] = this.#pipe();
      const [output, theirEnd] = this.#pipe();
      for (let count = 0; count < 2; count++) this.#reserved.push(this.#hold(duplicate(input.number)));
      // What it echoes shows that it is inside. With our end of its input it ends, too, should we be killed.
      write(ourEnd.number, Buffer.from('\n'));
      // Once: what it has said is left unread.
      const echo = this.#loop.io(output.number).pipe(take(1));
      this.#subscriber.add(echo.subscribe({ next: () => this.#hasEchoed(), error: (error) => this.#fail(error) }));
      if (this.#subscriber.closed) return;
      this.#isAsked = true;
      this.#launcher.launch(copy.number, input.number, theirEnd.number, {
        started: (pid) => this.#started(pid),
        failed: (error) => {
          this.#isAsked = false;
          this.#fail(error);
          this.#end();
        },
      });
    } catch (error) {
      this.#fail(error);
    }
  }

  /** The time is over. A launcher that has not even told of a process is replaced. */
  isLate(): void {
    if (this.#directory === undefined && atLoad.performanceNow() - this.#asked > LAUNCH_LIMIT) this.#launcher.replace();
  }

  #hold(fd: Fd): Fd {
    this.#held.push(fd);
    return fd;
  }

  #pipe(): [Fd, Fd] {
    const [readable, writable] = pipe();
    return [this.#hold(readable), this.#hold(writable)];
  }

  #started(pid: number): void {
    this.#isAsked = false;
    this.#process = new HelperProcess(this.#launcher, pid);
    try {
      for (const reserved of this.#reserved) reserved.close();
      const handles = this.#process.open();
      if (handles === undefined) throw notEntered();
      this.#directory = handles.directory;
      this.#pidfd = handles.pidfd;
    } catch (error) {
      this.#fail(error);
    }
    if (this.#subscriber.closed) {
      this.#end();
      return;
    }
    if (this.#echoed) this.#entered();
    else this.#lookAfter(FIRST_LOOK);
  }

  #hasEchoed(): void {
    this.#echoed = true;
    // The launcher's word comes by another way, and may come later.
    this.#entered();
  }

  /** It has said that it is inside, or is seen to be. */
  #entered(): void {
    const directory = this.#directory;
    if (this.#inside || directory === undefined || this.#subscriber.closed) return;
    this.#inside = true;
    this.#limit.unsubscribe();
    const path = `/proc/self/fd/${directory.number}`;
    this.#subscriber.next({
      directory: directory.number,
      readMap: (kind) => readIdMap(kind, path),
      writeMap: (kind, ...entries) => {
        // Once it is written it is so, whatever closing the file would say.
        using file = new Fd(openSync(`${path}/${kind}`, 'w'));
        write(file.number, formatIdMap(entries));
      },
      denySetgroups: () => writeFileSync(`${path}/setgroups`, 'deny'),
    });
  }

  /** Looks for itself after a while: its owner may have stopped it before it said anything. */
  #lookAfter(interval: number): void {
    if (this.#subscriber.closed) return;
    const timer = this.#loop.time({ after: interval, description: 'helper' }).subscribe({
      next: () => {
        if (this.#inside) return;
        try {
          this.#look(interval);
        } catch (error) {
          this.#fail(error);
        }
      },
      error: (error) => this.#fail(error),
    });
    this.#subscriber.add(timer);
  }

  #look(interval: number): void {
    const [directory, pidfd] = [this.#directory?.number ?? -1, this.#pidfd?.number ?? -1];
    if (hasOtherMaps(`/proc/self/fd/${directory}`)) this.#entered();
    else if (pollNow(pidfd, EPOLLIN) !== 0) this.#fail(notEntered());
    else this.#lookAfter(Math.min(2 * interval, LONGEST_INTERVAL));
  }

  #fail(error: unknown): void {
    this.#subscriber.error(error);
  }

  #end(): void {
    // Should it not be killed, it ends with its input, unless it is stopped.
    this.#process?.[Symbol.dispose]();
    for (const held of this.#held.splice(0)) held[Symbol.dispose]();
  }
}

/** A map as the kernel reads it, by one call. */
export function formatIdMap(entries: readonly IdMapEntry[]): Buffer {
  return Buffer.from(entries.map(({ inside, outside, count }) => `${inside} ${outside} ${count}\n`).join(''));
}

export function notEntered(): Error {
  return new Error('no process could enter the user namespace');
}

/** Whether a process is seen to be in another user namespace than ours: the maps of two rarely are the same. */
function hasOtherMaps(directory: string): boolean {
  const [others, ours] = [directory, '/proc/self'].map((path) => readKernelFile(`${path}/uid_map`));
  return others !== ours;
}
