import { readdirSync, readFileSync } from 'node:fs';
import { type ChildProcess, pidfdSignalGroup, type Signal, signalNumber } from '@sdrx/linux';

/** Whether the kernel signals a group by its leader's pidfd, which it does from Linux 6.9 on. */
let byPidfd = true;

/**
 * The process group of a program that leads it. Its number is the leader's, and may be another group's once the leader was reaped
 * and the group is empty; so from then on only the pidfd is used.
 */
export class ProgramGroup {
  readonly #leader: ChildProcess;
  #ended = false;
  #reaped = false;

  constructor(leader: ChildProcess) {
    this.#leader = leader;
  }

  /**
   * Sends all of them a signal. 0 only looks.
   * @returns false when there is nobody left that could be told anything. Throws EPERM when the leader, which still runs, can't.
   */
  signal(signal: Signal | 0): boolean {
    try {
      return this.#send(signal);
    } catch (error) {
      if (errorCode(error) === 'EPERM' && (signal === 0 || this.#ended)) return false;
      throw error;
    }
  }

  /** Whether one of them still runs. Those that have ended and are not reaped yet, which may take PID 1 seconds, don't. */
  get runs(): boolean {
    return this.signal(0) && hasRunning(this.#leader.pid);
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
    if (!byPidfd) this.signal('SIGKILL');
    this.#reaped = true;
  }

  #send(signal: Signal | 0): boolean {
    if (byPidfd) {
      try {
        return pidfdSignalGroup(this.#leader.pidfd.number, signal);
      } catch (error) {
        if (errorCode(error) !== 'EINVAL') throw error;
        byPidfd = false;
      }
    }
    return !this.#reaped && signalByNumber(this.#leader.pid, signal);
  }
}

/** Whether a process of a group runs, as far as /proc shows: each stat has its state and its group. proc_pid_stat(5) */
function hasRunning(group: number): boolean {
  return readdirSync('/proc').some((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      // Behind the name, which may have anything in it.
      const [state = '', , processGroup] = stat.slice(stat.lastIndexOf(')') + 2).split(' ', 3);
      return Number(processGroup) === group && !'ZX'.includes(state);
    } catch {
      // It has just gone.
      return false;
    }
  });
}

/** kill(2) */
function signalByNumber(group: number, signal: Signal | 0): boolean {
  try {
    return process.kill(-group, signal === 0 ? 0 : signalNumber(signal));
  } catch (error) {
    if (errorCode(error) === 'ESRCH') return false;
    throw error;
  }
}

/** Of ours and of Node's own. */
function errorCode(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
