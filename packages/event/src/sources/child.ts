import {
  type ChildChange,
  type ChildProcess,
  EPOLLIN,
  isSystemError,
  pidfdOpen,
  WEXITED,
  WNOHANG,
  WNOWAIT,
  waitPid,
  waitPidfd,
} from '@sdrx/linux';
import type { Observable } from 'rxjs';
import type { LoopCore } from '../loop-core.js';
import type { SourceOptions } from '../source.js';
import type { Watch } from '../watcher.js';

/** How a child process ended. */
export interface ChildExit {
  readonly pid: number;
  /** `exited` by itself, `killed` by a signal, or that with a core `dumped`. */
  readonly code: 'exited' | 'killed' | 'dumped';
  /** The exit status (0 to 255) of one that exited, else the number of the signal. */
  readonly status: number;
}

/**
 * Comes once, when a child process ends, and completes. The child is reaped after the observer ran, which therefore still
 * finds it under /proc. Uses a pidfd: SIGCHLD stays free for others. sd_event_add_child(3), pidfd_open(2).
 *
 * Fails with ESRCH for a process that does not exist, ECHILD for one that is no child of ours or was reaped elsewhere.
 */
export function child(
  core: LoopCore,
  child: ChildProcess | number,
  options: SourceOptions = {},
): Observable<ChildExit> {
  return core.source<ChildExit>('kernel', options, (source) => {
    const own = typeof child === 'number' ? pidfdOpen(child) : undefined;
    const pidfd = typeof child === 'number' ? (own?.number ?? -1) : child.pidfd.number;
    let watch: Watch | undefined;
    const release = (): void => {
      watch?.[Symbol.dispose]();
      own?.close();
    };
    try {
      watch = core.watcher.watch(pidfd, EPOLLIN, () => {
        try {
          const change = peek(pidfd);
          if (change === undefined || !isExit(change)) return;
          // From here on the pidfd is not used any more: the observer may close it.
          watch?.[Symbol.dispose]();
          source.pend(change);
        } catch (error) {
          source.pendEnd(error);
        }
      });
      // The pidfd of any process can be watched; whether it is a child shows only here.
      peek(pidfd);
    } catch (error) {
      release();
      throw error;
    }
    const dispatched = ({ pid }: ChildExit): void => {
      reap(pid);
      source.complete();
    };
    return { detach: release, dispatched };
  });
}

/** How the child ended, if it has; it stays to be reaped. Throws ECHILD. */
function peek(pidfd: number): ChildChange | undefined {
  return waitPidfd(pidfd, WEXITED | WNOHANG | WNOWAIT);
}

function isExit(change: ChildChange): change is ChildExit {
  return change.code === 'exited' || change.code === 'killed' || change.code === 'dumped';
}

function reap(pid: number): void {
  try {
    waitPid(pid, WEXITED | WNOHANG);
  } catch (error) {
    // The observer may have waited for the child itself.
    if (!isSystemError(error, 'ECHILD')) throw error;
  }
}
