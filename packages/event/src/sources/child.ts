import type { ChildProcess as NodeChildProcess } from 'node:child_process';
import {
  type ChildChange,
  type ChildProcess,
  checkBoolean,
  checkPid,
  EPOLLIN,
  ESRCH,
  Fd,
  isSystemError,
  pidfdOpen,
  pidfdSendSignal,
  SystemError,
  signalNumber,
  WCONTINUED,
  WEXITED,
  WNOHANG,
  WNOWAIT,
  WSTOPPED,
  waitPid,
  waitPidfd,
  wrongKind,
} from '@sdrx/linux';
import type { Observable } from 'rxjs';
import { onChildStateChange } from '../child-state-change.js';
import type { LoopCore } from '../loop-core.js';
import { hasEnded, isNodeChild, nodeChildOf } from '../node-child.js';
import type { Attachment, Source, SourceOptions } from '../source.js';
import type { Watch } from '../watcher.js';

/** How a child process ended. */
export interface ChildExit {
  /** Its process id, free for others after the handler. */
  readonly pid: number;
  /** `exited` by itself, `killed` by a signal, or that with a core `dumped`. */
  readonly code: 'exited' | 'killed' | 'dumped';
  /** The exit status (0 to 255) of one that exited, else the number of the signal. */
  readonly status: number;
}

export interface ChildOptions extends SourceOptions {
  /**
   * Comes also when a signal stops the child (`stopped`, or `trapped` when it is traced). Of several changes that follow
   * one another quickly the last is told, and of several subscriptions only one is, as by waitid(2) WSTOPPED.
   */
  readonly stopped?: boolean;
  /** Comes also when SIGCONT lets the child go on (`continued`). waitid(2) WCONTINUED. */
  readonly continued?: boolean;
  /**
   * Ends the child with the subscription: if it still runs, it gets SIGKILL and is reaped. Closes the pidfd, also one that
   * was given. sd_event_source_set_child_process_own(3), sd_event_source_set_child_pidfd_own(3).
   */
  readonly own?: boolean;
}

/**
 * A child by its process, that of `spawn` or of node:child_process, or a pidfd, which stay the caller's unless the source is to
 * `own` it, or by its id.
 */
export type Child = ChildProcess | NodeChildProcess | Fd | number;

/** `EventLoop.child`, which tells what users need to know. */
export function child(core: LoopCore, which: Child, options?: ChildExitOptions): Observable<ChildExit>;
export function child(core: LoopCore, which: Child, options?: ChildOptions): Observable<ChildChange>;
export function child(core: LoopCore, which: Child, options: ChildOptions = {}): Observable<ChildChange> {
  checkChild(which);
  for (const name of ['stopped', 'continued', 'own'] as const) {
    if (options[name] !== undefined) checkBoolean(name, options[name]);
  }
  return core.source<ChildChange>('kernel', options, (source) => {
    if (isNodeChild(which)) return new WatchedNodeChild(source, which, options);
    const known = typeof which === 'number' || which instanceof Fd ? nodeChildOf(which) : undefined;
    if (known === undefined) return new WatchedChild(core, source, which, options);
    return new WatchedNodeChild(source, known, options, which instanceof Fd ? which : undefined);
  });
}

function checkChild(which: Child): void {
  if (which instanceof Fd || isNodeChild(which) || (which as ChildProcess | undefined)?.pidfd instanceof Fd) return;
  if (typeof which !== 'number') throw wrongKind('which', 'a child process, its pidfd as an Fd, or its id', which);
  checkPid(which, 'which');
}

/** Options with which a child's end is all that comes. */
export interface ChildExitOptions extends ChildOptions {
  readonly stopped?: false;
  readonly continued?: false;
}

/** What one subscription holds of its child. */
class WatchedChild implements Attachment<ChildChange> {
  readonly #source: Source<ChildChange>;
  /** Its number is looked at each time: once somebody closed it, that number may stand for another process. */
  readonly #pidfd: Fd;
  /** What waitid(2) is asked for. */
  readonly #changes: number;
  readonly #own: boolean;
  readonly #undo: (() => void)[] = [];
  #watch: Watch | undefined;
  /** The child's id once it was seen to have ended. From then on the pidfd may be closed: the observer may do it. */
  #endedPid: number | undefined;
  /** Whether that id may be another child's by now. */
  #reaped = false;

  /** Throws ESRCH, ECHILD, EBADF, EMFILE, EOPNOTSUPP. */
  constructor(core: LoopCore, source: Source<ChildChange>, which: ChildProcess | Fd | number, options: ChildOptions) {
    const { stopped = false, continued = false, own = false } = options;
    this.#source = source;
    this.#changes = WEXITED | (stopped ? WSTOPPED : 0) | (continued ? WCONTINUED : 0);
    this.#own = own;
    this.#pidfd = this.#open(which);
    try {
      this.#watch = core.watcher.watch(this.#pidfd.number, EPOLLIN, () => this.#look());
      // The pidfd of any process can be watched; whether it is a child shows only here.
      waitPidfd(this.#pidfd.number, WEXITED | WNOHANG | WNOWAIT);
      if (!stopped && !continued) return;
      this.#undo.push(onChildStateChange(() => this.#look()));
      // What it has done before we listened.
      this.#look();
    } catch (error) {
      this.#release();
      throw error;
    }
  }

  dispatched({ pid, code }: ChildChange): void {
    if (isExit(code)) {
      this.#reap(pid);
      this.#source.complete();
    } else if (!this.#source.closed) {
      // Others may have come while it waited for its turn.
      this.#look();
    }
  }

  detach(): void {
    try {
      if (this.#own) this.#end();
    } finally {
      this.#release();
    }
  }

  online(on: boolean): void {
    this.#watch?.pause(!on);
  }

  #open(which: ChildProcess | Fd | number): Fd {
    const pidfd = typeof which === 'number' ? pidfdOpen(which) : which instanceof Fd ? which : which.pidfd;
    if (typeof which === 'number' || this.#own) this.#undo.push(() => pidfd.close());
    return pidfd;
  }

  /** Makes the source pending if the child changed. Its end stays to be reaped, of other changes each is taken. */
  #look(): void {
    if (this.#endedPid !== undefined || this.#source.pending) return;
    try {
      const peek = this.#changes | WNOHANG | WNOWAIT;
      const change = waitPidfd(this.#pidfd.number, peek);
      if (change === undefined) return;
      if (isExit(change.code)) {
        this.#endedPid = change.pid;
        this.#watch?.[Symbol.dispose]();
      } else {
        // Another one may have come since.
        this.#source.pend(waitPidfd(this.#pidfd.number, (this.#changes & ~WEXITED) | WNOHANG) ?? change);
        return;
      }
      this.#source.pend(change);
    } catch (error) {
      this.#watch?.[Symbol.dispose]();
      this.#source.pendError(error);
    }
  }

  #end(): void {
    if (this.#endedPid !== undefined) {
      this.#reap(this.#endedPid);
      return;
    }
    try {
      pidfdSendSignal(this.#pidfd.number, 'SIGKILL');
      waitPidfd(this.#pidfd.number, WEXITED);
    } catch (error) {
      // Somebody else was faster.
      if (!isSystemError(error, 'ESRCH', 'ECHILD', 'EBADF')) throw error;
    }
  }

  #reap(pid: number): void {
    if (this.#reaped) return;
    this.#reaped = true;
    const { number } = this.#pidfd;
    try {
      // Of one that the observer has waited for itself the id may be another child's by now, but the pidfd is not.
      if (number >= 0) waitPidfd(number, WEXITED | WNOHANG);
      else waitPid(pid, WEXITED | WNOHANG);
    } catch (error) {
      // The observer may have waited for the child itself.
      if (!isSystemError(error, 'ECHILD')) throw error;
    }
  }

  #release(): void {
    this.#watch?.[Symbol.dispose]();
    for (let step = this.#undo.pop(); step !== undefined; step = this.#undo.pop()) step();
  }
}

/** The same of a child that Node started: Node reaps it, and knows how it ended. */
class WatchedNodeChild implements Attachment<ChildChange> {
  readonly #source: Source<ChildChange>;
  readonly #child: NodeChildProcess;
  readonly #own: boolean;
  readonly #undo: (() => void)[] = [];

  /**
   * Throws ESRCH for one that could not be started, EMFILE, EOPNOTSUPP.
   * @param pidfd by which it was given
   */
  constructor(
    source: Source<ChildChange>,
    child: NodeChildProcess,
    { stopped = false, continued = false, own = false }: ChildOptions,
    pidfd?: Fd,
  ) {
    this.#source = source;
    this.#child = child;
    this.#own = own;
    const { pid } = child;
    if (pid === undefined) throw new SystemError(ESRCH, 'child', child.spawnfile);
    if (own && pidfd !== undefined) this.#undo.push(() => pidfd.close());
    try {
      if (hasEnded(child)) {
        this.#ended(pid);
        return;
      }
      const ended = (): void => this.#ended(pid);
      child.once('exit', ended);
      this.#undo.push(() => child.off('exit', ended));
      if (stopped || continued) this.#followStops(pid, (stopped ? WSTOPPED : 0) | (continued ? WCONTINUED : 0));
    } catch (error) {
      this.#release();
      throw error;
    }
  }

  dispatched({ code }: ChildChange): void {
    if (isExit(code)) this.#source.complete();
  }

  detach(): void {
    try {
      if (this.#own && !hasEnded(this.#child)) this.#child.kill('SIGKILL');
    } finally {
      this.#release();
    }
  }

  /** Other changes than the end Node takes no notice of. */
  #followStops(pid: number, changes: number): void {
    const look = (): void => {
      try {
        if (hasEnded(this.#child)) return;
        const change = waitPid(pid, changes | WNOHANG);
        if (change !== undefined) this.#source.pend(change);
      } catch (error) {
        // Node has just reaped it, and will say so.
        if (!isSystemError(error, 'ECHILD')) this.#source.pendError(error);
      }
    };
    this.#undo.push(onChildStateChange(look));
    look();
  }

  #ended(pid: number): void {
    const { exitCode, signalCode } = this.#child;
    if (signalCode !== null) this.#source.pend({ pid, code: 'killed', status: signalNumber(signalCode) });
    else this.#source.pend({ pid, code: 'exited', status: exitCode ?? 0 });
  }

  #release(): void {
    for (let step = this.#undo.pop(); step !== undefined; step = this.#undo.pop()) step();
  }
}

function isExit(code: ChildChange['code']): boolean {
  return code === 'exited' || code === 'killed' || code === 'dumped';
}
