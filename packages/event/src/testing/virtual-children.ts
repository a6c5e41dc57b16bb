import type { Attachment, SourceHandle, WantedChanges } from '@sdrx/event';
import { type ChildChange, ECHILD, SystemError, signalNumber } from '@sdrx/linux';
import type { ReadyList, Telling } from './ready-list.js';
import type { VirtualSignals } from './virtual-signals.js';

/** What siginfo_t of SIGCHLD has as its code. sigaction(2) */
const CLD: Readonly<Record<ChildChange['code'], number>> = {
  exited: 1,
  killed: 2,
  dumped: 3,
  trapped: 4,
  stopped: 5,
  continued: 6,
};

/** A child process that does what it is told to. With whatever it does, the process gets SIGCHLD. */
export interface VirtualChild {
  /** What `EventLoop.child` is given. */
  readonly pid: number;
  /** Whether it has ended. */
  readonly ended: boolean;
  /** Whether its end was taken note of, as by waitid(2). */
  readonly reaped: boolean;
  /** It exits, with a status from 0 to 255. */
  exit(status?: number): void;
  /** A signal ends it, of which the number is told. */
  die(signo: number, code?: 'killed' | 'dumped'): void;
  /** A signal stops it, of which the number is told. */
  stop(signo: number): void;
  /** A signal lets it go on. */
  continue(signo: number): void;
  /**
   * Somebody else than the loop takes note of its end. waitid(2).
   * @throws ECHILD when that was done, and Error while it runs
   */
  reap(): void;
}

const SIGCHLD = signalNumber('SIGCHLD');

/** All children of a virtual process. */
export class VirtualChildren {
  readonly #list: ReadyList;
  readonly #signals: VirtualSignals;
  readonly #children = new Map<number, Child>();
  #next = 1000;

  constructor(list: ReadyList, signals: VirtualSignals) {
    this.#list = list;
    this.#signals = signals;
  }

  start(): VirtualChild {
    const pid = this.#next++;
    const child = new Child(pid, this.#list, {
      changed: ({ code }) => this.#signals.raise(SIGCHLD, { pid, code: CLD[code] }),
      gone: () => this.#children.delete(pid),
    });
    this.#children.set(pid, child);
    return child;
  }

  /** Those that run, or have ended and were not taken note of. */
  get left(): VirtualChild[] {
    return [...this.#children.values()];
  }

  watch(pid: number, wanted: WantedChanges, observer: SourceHandle<ChildChange>): Attachment<ChildChange> {
    const child = this.#children.get(pid);
    if (child === undefined) throw reapedOrUnknown(pid);
    return new ChildWatch(child, this.#list, wanted, observer);
  }
}

class Child implements VirtualChild {
  readonly pid: number;
  readonly watches = new Set<ChildWatch>();
  readonly #list: ReadyList;
  readonly #owner: Owner;
  /** How it ended. */
  end: ChildChange | undefined;
  /** What else it did, and of which nobody was told. */
  change: ChildChange | undefined;
  reaped = false;

  constructor(pid: number, list: ReadyList, owner: Owner) {
    this.pid = pid;
    this.#list = list;
    this.#owner = owner;
  }

  get ended(): boolean {
    return this.end !== undefined;
  }

  exit(status = 0): void {
    this.#ends('exited', status);
  }

  die(signo: number, code: 'killed' | 'dumped' = 'killed'): void {
    this.#ends(code, signo);
  }

  stop(signo: number): void {
    this.#changes({ pid: this.pid, code: 'stopped', status: signo });
  }

  continue(signo: number): void {
    this.#changes({ pid: this.pid, code: 'continued', status: signo });
  }

  reap(): void {
    if (!this.ended) throw new Error(`child ${this.pid} runs`);
    if (this.reaped) throw reapedOrUnknown(this.pid);
    this.reaped = true;
    this.#owner.gone();
  }

  #ends(code: ChildChange['code'], status: number): void {
    if (this.ended) throw new Error(`child ${this.pid} has ended already`);
    this.end = { pid: this.pid, code, status };
    for (const watch of this.watches) this.#list.add(watch);
    this.#owner.changed(this.end);
  }

  #changes(change: ChildChange): void {
    if (this.ended) throw new Error(`child ${this.pid} has ended already`);
    this.change = change;
    for (const watch of this.watches) if (watch.wants(change)) this.#list.add(watch);
    this.#owner.changed(change);
  }
}

/** Whom a child tells of itself. */
interface Owner {
  changed(change: ChildChange): void;
  gone(): void;
}

class ChildWatch implements Attachment<ChildChange>, Telling {
  readonly #child: Child;
  readonly #list: ReadyList;
  readonly #wanted: WantedChanges;
  readonly #observer: SourceHandle<ChildChange>;
  #isOnline = true;

  constructor(child: Child, list: ReadyList, wanted: WantedChanges, observer: SourceHandle<ChildChange>) {
    this.#child = child;
    this.#list = list;
    this.#wanted = wanted;
    this.#observer = observer;
    child.watches.add(this);
    if (child.ended || (child.change !== undefined && this.wants(child.change))) list.add(this);
  }

  wants({ code }: ChildChange): boolean {
    return code === 'continued' ? this.#wanted.continued === true : this.#wanted.stopped === true;
  }

  tell(): boolean {
    const { end, change } = this.#child;
    if (!this.#isOnline) return end !== undefined || change !== undefined;
    if (this.#observer.pending) return true;
    if (this.#child.reaped) this.#observer.pendError(reapedOrUnknown(this.#child.pid));
    else if (end !== undefined) this.#observer.pend(end);
    else if (change !== undefined && this.wants(change)) {
      this.#child.change = undefined;
      this.#observer.pend(change);
    }
    return false;
  }

  dispatched({ code }: ChildChange): void {
    if (code === 'exited' || code === 'killed' || code === 'dumped') {
      if (!this.#child.reaped) this.#child.reap();
      this.#observer.complete();
    } else if (this.#child.ended) this.#list.add(this);
  }

  detach(): void {
    this.#list.delete(this);
    this.#child.watches.delete(this);
    if (this.#wanted.own !== true) return;
    if (!this.#child.ended) this.#child.die(9);
    if (!this.#child.reaped) this.#child.reap();
  }

  online(on: boolean): void {
    this.#isOnline = on;
    if (on) this.#list.add(this);
  }
}

function reapedOrUnknown(pid: number): SystemError {
  return new SystemError(ECHILD, 'waitid', `${pid}`, 'not one of the virtual loop, or reaped');
}
