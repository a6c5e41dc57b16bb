import { readdirSync } from 'node:fs';
import {
  type ChildChange,
  isSystemError,
  pidfdSignalGroup,
  pipe,
  read,
  readKernelFile,
  type Signal,
  type SpawnOptions,
  setNonBlocking,
  signalNumber,
  spawn,
  WEXITED,
  WNOHANG,
  WNOWAIT,
  waitPidfd,
} from '@sdrx/linux';

/** A program that was started, as far as a supervisor has to do with it. */
export interface StartedProgram extends Disposable {
  /** The id of its process. */
  readonly pid: number;
  /** What is readable once it has ended; of −1 when it was closed. */
  readonly pidfd: {
    /** The descriptor. */
    readonly number: number;
  };
  /** Sends it a signal; false when it has ended and was reaped. @throws EPERM when it took another user's identity */
  kill(signal: Signal): boolean;
}

/** One end of a pipe, which whoever has it closes. */
export interface PipeEnd extends Disposable {
  /** Its descriptor, or −1 after it was closed. */
  readonly number: number;
  /** Harmless when it is closed. */
  close(): void;
}

/**
 * What a supervisor asks the system for; its loop aside, that is all that it has from outside. By default Linux answers. A test has
 * one that it drives itself, beside a `VirtualLoop`.
 */
export interface ProgramSystem {
  /** @throws what `spawn` of @sdrx/linux does */
  start(file: string, options: SpawnOptions): StartedProgram;
  /**
   * Looks for the end of a child, and takes it. waitid(2), with WEXITED and others.
   * @throws ECHILD when somebody else has taken it
   */
  wait(pidfd: number, options: number): ChildChange | undefined;
  /** Whether nobody has taken its end: only as long its number, and its group's, are its own. waitid(2) */
  isUnreaped(pidfd: number): boolean;
  /**
   * Sends a signal to the group that a process leads, or led, by its pidfd; 0 only looks.
   * @returns false when nobody is left who was not reaped.
   * @throws EINVAL before Linux 6.9, and EPERM when none of them may be sent one
   */
  signalGroup(pidfd: number, signal: Signal | 0): boolean;
  /** The same by the group's number, which may be another group's once its leader was reaped. kill(2) */
  signalGroupById(group: number, signal: Signal | 0): boolean;
  /**
   * Whether a process of a group runs. One that has ended and was not reaped does not.
   * @throws EMFILE, ENFILE, ENOMEM
   */
  groupRuns(group: number): boolean;
  /** The reading end does not block, the writing end does, as programs expect it. @throws EMFILE, ENFILE */
  pipe(): readonly [reading: PipeEnd, writing: PipeEnd];
  /** As `read` of @sdrx/linux. */
  read(fd: number, buffer: Uint8Array): number | undefined;
}

/** What says that the system has nothing left to find out by, and nothing of what was asked. */
export const EXHAUSTED = ['EMFILE', 'ENFILE', 'ENOMEM'] as const;

/** What a supervisor runs on. */
export const linuxPrograms: ProgramSystem = {
  start: spawn,
  wait: waitPidfd,
  isUnreaped: (pidfd) => {
    try {
      waitPidfd(pidfd, WEXITED | WNOHANG | WNOWAIT);
      return true;
    } catch (error) {
      if (!isSystemError(error, 'ECHILD')) throw error;
      return false;
    }
  },
  signalGroup: pidfdSignalGroup,
  signalGroupById: (group, signal) => {
    try {
      return process.kill(-group, signal === 0 ? 0 : signalNumber(signal));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
      throw error;
    }
  },
  groupRuns: hasRunning,
  pipe: () => {
    const [reading, writing] = pipe();
    // The two ends have flags of their own.
    setNonBlocking(writing.number, false);
    return [reading, writing];
  },
  read,
};

/** As far as /proc shows: each stat has its process's state and its group. proc_pid_stat(5) */
function hasRunning(group: number): boolean {
  return readdirSync('/proc').some((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      const stat = readKernelFile(`/proc/${name}/stat`);
      // Behind the name, which may have anything in it.
      const [state = '', , processGroup] = stat.slice(stat.lastIndexOf(')') + 2).split(' ', 3);
      return Number(processGroup) === group && !'ZX'.includes(state);
    } catch (error) {
      // Most likely it has just gone.
      if (isSystemError(error, ...EXHAUSTED)) throw error;
      return false;
    }
  });
}
