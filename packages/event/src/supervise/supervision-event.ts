import type { SystemError } from '@sdrx/linux';
import type { ChildExit } from '../sources/child.js';

/** A program was started. */
export interface ProgramStarted {
  /** That. */
  readonly type: 'started';
  /** Its process id. */
  readonly pid: number;
  /** Which start it is, from 1 on. */
  readonly attempt: number;
}

/** A program wrote a line. */
export interface ProgramLine {
  /** That. */
  readonly type: 'line';
  /** Its process id, also if another process wrote to the same pipe. */
  readonly pid: number;
  /** Of its start. */
  readonly attempt: number;
  /** Where to. */
  readonly stream: 'stdout' | 'stderr';
  /** Without the newline. */
  readonly text: string;
  /** Whether the line is longer than `longestLine`: the next one of the stream goes on with it. */
  readonly cut: boolean;
}

/**
 * Who or what had a program end: `exit` it did itself, `signal` one that did not come from here, `stop` it was asked for, `watchdog`
 * it was taken to hang, `spawn-failed` it did not begin, `unknown` somebody else in this process has waited for it.
 */
export type EndCause = 'exit' | 'signal' | 'stop' | 'watchdog' | 'spawn-failed' | 'unknown';

/** A program has ended, or could not be started. All its lines have come before. */
export interface ProgramEnded {
  /** That. */
  readonly type: 'ended';
  /** Undefined if it could not be started. */
  readonly pid: number | undefined;
  /** Of its start. */
  readonly attempt: number;
  /** `exited` by itself, `killed` by a signal, or that with a core `dumped`; undefined for `spawn-failed` and `unknown`. */
  readonly code: ChildExit['code'] | undefined;
  /** The exit status (0 to 255) of one that exited, else the number of the signal. */
  readonly status: number | undefined;
  /** Why. */
  readonly cause: EndCause;
  /** Whether it, or a process of its group, had to be killed, as it did not end in time. */
  readonly forced: boolean;
  /** Whether that is an end of the kind that `success` names. */
  readonly success: boolean;
  /** How long it ran, in milliseconds. */
  readonly after: number;
  /** Whether that was long enough to be started again without much delay. */
  readonly stable: boolean;
  /** Whether another process still had its output open, and what it wrote from then on is lost. */
  readonly outputLeft: boolean;
  /** Why it could not be started. */
  readonly error: SystemError | undefined;
}

/** A program will be started again. */
export interface ProgramWaiting {
  /** That. */
  readonly type: 'waiting';
  /** In so many milliseconds. */
  readonly delay: number;
  /** Because it ended, or because the limit of starts is met. */
  readonly reason: 'backoff' | 'start-limit';
  /** Which start it will be. */
  readonly attempt: number;
}

/** The last event: a program is not started again. */
export interface SupervisionOver {
  /** `stopped` as it was asked for, `done` as `restart` says, `gave-up` as the limit of starts is met. */
  readonly type: 'stopped' | 'done' | 'gave-up';
  /** How many starts there were. */
  readonly attempts: number;
  /** Whether its last end was a success; true if there was none. */
  readonly success: boolean;
}

/** What becomes of a program that is kept running. */
export type SupervisionEvent = ProgramStarted | ProgramLine | ProgramEnded | ProgramWaiting | SupervisionOver;
