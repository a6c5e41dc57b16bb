import { type Signal, signalNumber } from '@sdrx/linux';
import type { Unsubscribable } from 'rxjs';
import type { SimulatedPipe } from './simulated-pipe.js';

/** How a process ends. */
export interface End {
  readonly code: 'exited' | 'killed' | 'dumped';
  /** An exit status, or the number of a signal. */
  readonly status: number;
}

/** What becomes of a process. Times are in milliseconds. */
export interface Fate {
  /** When it ends by itself, after its start; undefined: it does not. */
  readonly lasts: number | undefined;
  readonly end: End;
  /** How long it takes to end when it is asked to; undefined: it ignores that. */
  readonly obeys: number | undefined;
  /** How long it takes to end of SIGKILL; undefined: it hangs in the kernel. */
  readonly dies: number | undefined;
}

/** A process that a program starts. */
export interface FollowerFate extends Fate {
  /** How long it is there when it has ended, until init reaps it. */
  readonly unreaped: number;
  /** Whether it leaves the group. */
  readonly escapes: boolean;
  /** Whether it has the program's output open, too. */
  readonly holds: boolean;
}

/** Something that is written, after so many milliseconds. */
export interface Write {
  readonly at: number;
  readonly stream: 0 | 1;
  readonly text: string;
}

/** What becomes of a program. */
export interface ProgramFate extends Fate {
  /** How much later than its end that is told. */
  readonly late: number;
  /** Whether a signal has stopped it. */
  readonly isStopped: boolean;
  /** Whether it took another user's identity, so that it can't be sent a signal. */
  readonly isForeign: boolean;
  /** Whether somebody else in the supervisor's process waits for it. */
  readonly isReapedElsewhere: boolean;
  readonly writes: readonly Write[];
  /** What it writes at its end, without a newline. */
  readonly lastWords: string;
  readonly followers: readonly FollowerFate[];
  /** What its watchdog does, and when. */
  readonly watchdog: 'nothing' | 'value' | 'error' | 'end';
  readonly watchdogAfter: number;
}

/** What a process has from its world. */
export interface ProcessSurroundings {
  now(): number;
  after(milliseconds: number, call: () => void): Unsubscribable;
  /** It has ended. */
  ended(process: SimulatedProcess): void;
}

const SIGKILL = signalNumber('SIGKILL');

/** A process that is none. */
export class SimulatedProcess {
  readonly startedAt: number;
  readonly #surroundings: ProcessSurroundings;
  readonly #clocks: Unsubscribable[] = [];
  /** What it has open. */
  readonly pipes = new Set<SimulatedPipe>();
  #isStopped: boolean;
  /** The number of the signal by which it was asked to end while it was stopped. */
  #pending: number | undefined;
  #end: End | undefined;
  #endedAt = Number.POSITIVE_INFINITY;
  isReaped = false;

  constructor(
    readonly pid: number,
    readonly group: number,
    readonly fate: Fate,
    readonly isForeign: boolean,
    isStopped: boolean,
    surroundings: ProcessSurroundings,
  ) {
    this.#isStopped = isStopped;
    this.#surroundings = surroundings;
    this.startedAt = surroundings.now();
  }

  /** It has all that it needs, and may end from now on. */
  begin(): void {
    const { lasts, end } = this.fate;
    if (lasts !== undefined) this.#finishAfter(lasts, end);
  }

  get end(): End | undefined {
    return this.#end;
  }

  /** In milliseconds; Infinity as long as it runs. */
  get endedAt(): number {
    return this.#endedAt;
  }

  get runs(): boolean {
    return this.#end === undefined;
  }

  signal(signal: Signal): void {
    if (!this.runs) return;
    const signo = signalNumber(signal);
    if (signo === SIGKILL) this.#die();
    else if (signal === 'SIGCONT') this.#continue();
    else if (this.#isStopped) this.#pending ??= signo;
    else this.#obey(signo);
  }

  /** It ends. One that has ended already stays as it is. */
  finish(end: End): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#endedAt = this.#surroundings.now();
    for (const clock of this.#clocks) clock.unsubscribe();
    this.#surroundings.ended(this);
    for (const pipe of this.pipes) pipe.closedBy(this);
  }

  #finishAfter(milliseconds: number, end: End): void {
    this.#clocks.push(this.#surroundings.after(milliseconds, () => this.finish(end)));
  }

  #obey(signo: number): void {
    const { obeys } = this.fate;
    if (obeys === 0) this.finish({ code: 'killed', status: signo });
    else if (obeys !== undefined) this.#finishAfter(obeys, { code: 'killed', status: signo });
  }

  #die(): void {
    const { dies } = this.fate;
    if (dies === 0) this.finish({ code: 'killed', status: SIGKILL });
    else if (dies !== undefined) this.#finishAfter(dies, { code: 'killed', status: SIGKILL });
  }

  #continue(): void {
    this.#isStopped = false;
    if (this.#pending !== undefined) this.#obey(this.#pending);
    this.#pending = undefined;
  }
}
