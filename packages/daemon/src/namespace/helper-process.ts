import { openSync } from 'node:fs';
import { Fd, isSystemError, O_DIRECTORY, O_PATH, pidfdOpen, pidfdSendSignal, readKernelFile } from '@sdrx/linux';
import { attempt } from '../program/attempt.js';
import type { HelperLauncher } from './helper-launcher.js';

/** What a process is seen and ended by. */
interface Handles {
  readonly pidfd: Fd;
  /** Its directory in /proc, which is never another process's. */
  readonly directory: Fd;
}

/** A process that the launcher has started and told the id of. To dispose of it kills it, as who owns its namespace may have stopped it. */
export class HelperProcess implements Disposable {
  readonly #launcher: HelperLauncher;
  #pid: number | undefined;
  #pidfd: Fd | undefined;
  #directory: Fd | undefined;

  constructor(launcher: HelperLauncher, pid: number) {
    this.#launcher = launcher;
    this.#pid = pid;
  }

  /**
   * Opens what it is seen and ended by, which is there until this object is disposed of. To be called once. Where it can't be opened and
   * the process could not be ended, the launcher is replaced, which ends all of its processes.
   * @returns undefined if it has ended
   * @throws SystemError, but for the errors that say that it has ended
   */
  open(): Handles | undefined {
    const pid = this.#pid;
    if (pid === undefined) return undefined;
    try {
      const pidfd = pidfdOpen(pid);
      this.#pidfd = pidfd;
      const directory = new Fd(openSync(`/proc/${pid}`, O_PATH | O_DIRECTORY));
      this.#directory = directory;
      if (parentOf(directory) === this.#launcher.pid) return { pidfd, directory };
      // It was reaped together with another one, and its id is somebody else's, who is not to be killed.
      this.#close();
    } catch (error) {
      if (!isSystemError(error, 'ESRCH', 'ENOENT')) {
        if (this.#pidfd === undefined) this.#launcher.replace();
        throw error;
      }
    }
    return undefined;
  }

  #close(): void {
    this.#pidfd?.close();
    this.#directory?.close();
    this.#pidfd = undefined;
    this.#directory = undefined;
  }

  [Symbol.dispose](): void {
    const pidfd = this.#pidfd?.number;
    if (pidfd !== undefined) {
      const kill = () => pidfdSendSignal(pidfd, 'SIGKILL');
      // A failure that passes gets a second chance.
      if (attempt(kill).length > 0) attempt(kill);
    }
    this.#close();
    if (this.#pid !== undefined) this.#launcher.reap(this.#pid);
    this.#pid = undefined;
  }
}

/** The id of a process's parent. proc_pid_stat(5) */
function parentOf({ number }: Fd): number {
  const text = readKernelFile(`/proc/self/fd/${number}/stat`);
  // The program's name, which comes before, may hold anything.
  return Number(text.slice(text.lastIndexOf(')') + 1).split(' ')[2]);
}
