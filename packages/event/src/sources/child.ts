import { type ChildChange, type ChildProcess, checkBoolean, checkPid, Fd, wrongKind } from '@sdrx/linux';
import type { Observable } from 'rxjs';
import type { SourceKind } from '../core/dispatchable.js';
import type { Scheduler } from '../core/scheduler.js';
import type { SourceOptions } from '../core/source.js';
import { sourceOf } from '../core/source-observable.js';
import type { Child } from '../kernel/kernel.js';
import { isNodeChild } from '../kernel/node-child.js';

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

const CHILD: SourceKind = { name: 'child', origin: 'kernel' };

/** `EventLoop.child`, which tells what users need to know. */
export function child(core: Scheduler, which: Child, options?: ChildExitOptions): Observable<ChildExit>;
export function child(core: Scheduler, which: Child, options?: ChildOptions): Observable<ChildChange>;
export function child(core: Scheduler, which: Child, options: ChildOptions = {}): Observable<ChildChange> {
  checkChild(which);
  for (const name of ['stopped', 'continued', 'own'] as const) {
    if (options[name] !== undefined) checkBoolean(name, options[name]);
  }
  return sourceOf<ChildChange, ChildOptions>(core, CHILD, options, (source) =>
    core.kernel.child(which, options, source),
  );
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
