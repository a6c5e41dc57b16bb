import { readdirSync } from 'node:fs';
import type { EventLoop } from '@sdrx/event';
import { atLoad, becomeSubreaper, isSystemError, readKernelFile } from '@sdrx/linux';
import type { Log } from './log.js';

/** When it is tried again to find them, in milliseconds, for want of a descriptor. */
const RETRY = 1000;

/**
 * Ends what workers leave behind. A worker may be killed while processes of its own are inside a user namespace, where the
 * namespace's owner can have stopped them: they would stay, as root's, and keep the namespace alive. So this process is
 * the one that the kernel gives them to.
 */
export class Orphans {
  readonly #ending = new Set<number>();
  #retry: NodeJS.Timeout | undefined;

  /**
   * @param isOurs whether a child of this process is one that it started itself
   * @param onEnd is told when one has ended and was reaped
   */
  constructor(
    readonly loop: EventLoop,
    readonly isOurs: (pid: number) => boolean,
    readonly onEnd: () => void,
    readonly log: Log,
  ) {
    becomeSubreaper();
  }

  /** Whether some have not ended yet. */
  get left(): boolean {
    return this.#ending.size > 0;
  }

  /** Kills all that are there, and reaps them as they end. */
  end(): void {
    try {
      for (const pid of children()) {
        if (!this.isOurs(pid) && !this.#ending.has(pid)) this.#end(pid);
      }
    } catch (error) {
      this.#tryAgain(error);
    }
  }

  #end(pid: number): void {
    this.log.debug(`process ${pid} has outlived its worker, it is killed`);
    this.#ending.add(pid);
    // Ours until it is reaped, so that its id is nobody else's.
    process.kill(pid, 'SIGKILL');
    this.loop.child(pid, { description: 'orphan' }).subscribe({
      complete: () => {
        this.#ending.delete(pid);
        // Now we have its children.
        this.end();
        this.onEnd();
      },
      error: (error) => {
        this.#ending.delete(pid);
        this.#tryAgain(error);
      },
    });
  }

  /** Later there may be a descriptor to be had. Node's timer, as the loop's could want one. */
  #tryAgain(error: unknown): void {
    if (!isSystemError(error)) throw error;
    this.log.warning('what dead workers left behind can not be ended now', error);
    atLoad.clearTimeout(this.#retry);
    this.#retry = atLoad.setTimeout(() => this.end(), RETRY).unref();
  }
}

/** The children of all threads of this process, those that ended and were not reaped included. proc_pid_task(5) */
function children(): number[] {
  return readdirSync('/proc/self/task').flatMap((tid) => {
    try {
      const list = readKernelFile(`/proc/self/task/${tid}/children`);
      return list.split(' ').filter(Boolean).map(Number);
    } catch (error) {
      // A thread that has ended has none. Nor has a kernel that was built without this file.
      if (isSystemError(error, 'ENOENT', 'ESRCH')) return [];
      throw error;
    }
  });
}
