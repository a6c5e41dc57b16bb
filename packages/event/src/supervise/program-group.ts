import { isSystemError, type Signal } from '@sdrx/linux';
import { EXHAUSTED, type ProgramSystem, type StartedProgram } from './program-system.js';

/**
 * The process group of a program that leads it. Its number is the leader's, and may be another group's once the leader was reaped
 * and the group is empty; so from then on only the pidfd is used.
 */
export class ProgramGroup {
  readonly #system: ProgramSystem;
  readonly #leader: StartedProgram;
  /** Whether the kernel signals a group by its leader's pidfd, which it does from Linux 6.9 on. */
  #byPidfd = true;
  #ended = false;
  #reaped = false;

  constructor(system: ProgramSystem, leader: StartedProgram) {
    this.#system = system;
    this.#leader = leader;
  }

  /**
   * Sends all of them a signal. 0 only looks.
   * @returns false when there is nobody left that could be told anything.
   * @throws EPERM when the leader, which still runs, can't
   */
  signal(signal: Signal | 0): boolean {
    try {
      return this.#send(signal);
    } catch (error) {
      if (errorCode(error) === 'EPERM' && (signal === 0 || this.#ended)) return false;
      throw error;
    }
  }

  /**
   * Whether one of them still runs, or may, as there is no descriptor to find out by. Those that have ended and are not reaped yet, which
   * may take PID 1 seconds, don't.
   */
  get runs(): boolean {
    try {
      return this.signal(0) && this.#system.groupRuns(this.#leader.pid);
    } catch (error) {
      if (!isSystemError(error, ...EXHAUSTED)) throw error;
      return true;
    }
  }

  /**
   * To be called between the leader's end and its reaping: on an older kernel what is left can't be told anything later.
   * @param reaped by somebody else already
   */
  leaderEnds(reaped = false): void {
    this.#ended = true;
    this.#reaped = reaped;
    // The first look tells which kernel it is.
    this.signal(0);
    if (!this.#byPidfd) this.signal('SIGKILL');
    this.#reaped = true;
  }

  #send(signal: Signal | 0): boolean {
    if (this.#byPidfd) {
      try {
        return this.#system.signalGroup(this.#leader.pidfd.number, signal);
      } catch (error) {
        if (errorCode(error) !== 'EINVAL') throw error;
        this.#byPidfd = false;
      }
    }
    // Somebody else may have taken its end, which is told later.
    const isOwn = !this.#reaped && this.#system.isUnreaped(this.#leader.pidfd.number);
    return isOwn && this.#system.signalGroupById(this.#leader.pid, signal);
  }
}

/** Of ours and of Node's own. */
function errorCode(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
