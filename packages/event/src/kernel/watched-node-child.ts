import type { ChildProcess as NodeChildProcess } from 'node:child_process';
import {
  type ChildChange,
  ESRCH,
  type Fd,
  isSystemError,
  SystemError,
  signalNumber,
  WCONTINUED,
  WNOHANG,
  WSTOPPED,
  waitPid,
} from '@sdrx/linux';
import type { Attachment } from '../core/attachment.js';
import type { SourceHandle } from '../core/source-handle.js';
import { isExit } from './child-exit.js';
import { onChildStateChange } from './child-state-change.js';
import type { WantedChanges } from './kernel.js';
import { hasEnded } from './node-child.js';

/** A child process that Node started: Node reaps it, and knows how it ended. */
export class WatchedNodeChild implements Attachment<ChildChange> {
  readonly #source: SourceHandle<ChildChange>;
  readonly #child: NodeChildProcess;
  readonly #own: boolean;
  readonly #undo: (() => void)[] = [];

  /** @param pidfd by which it was given @throws ESRCH for one that could not be started, EMFILE, EOPNOTSUPP */
  constructor(
    source: SourceHandle<ChildChange>,
    child: NodeChildProcess,
    { stopped = false, continued = false, own = false }: WantedChanges,
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
