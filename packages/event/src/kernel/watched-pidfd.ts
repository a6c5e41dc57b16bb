import {
  type ChildChange,
  type ChildProcess,
  EPOLLIN,
  Fd,
  isSystemError,
  pidfdOpen,
  pidfdSendSignal,
  WCONTINUED,
  WEXITED,
  WNOHANG,
  WNOWAIT,
  WSTOPPED,
  waitPid,
  waitPidfd,
} from '@sdrx/linux';
import type { Attachment } from '../core/attachment.js';
import type { SourceHandle } from '../core/source-handle.js';
import { isExit } from './child-exit.js';
import { onChildStateChange } from './child-state-change.js';
import type { WantedChanges, Watch } from './kernel.js';
import type { Watcher } from './watcher.js';

/** A child process that is watched by its pidfd, and reaped when its end was told. */
export class WatchedPidfd implements Attachment<ChildChange> {
  readonly #source: SourceHandle<ChildChange>;
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

  /** @throws ESRCH, ECHILD, EBADF, EMFILE, EOPNOTSUPP */
  constructor(
    watcher: Watcher,
    source: SourceHandle<ChildChange>,
    which: ChildProcess | Fd | number,
    { stopped = false, continued = false, own = false }: WantedChanges,
  ) {
    this.#source = source;
    this.#changes = WEXITED | (stopped ? WSTOPPED : 0) | (continued ? WCONTINUED : 0);
    this.#own = own;
    this.#pidfd = this.#open(which);
    try {
      this.#watch = watcher.watch(this.#pidfd.number, EPOLLIN, () => this.#look());
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
