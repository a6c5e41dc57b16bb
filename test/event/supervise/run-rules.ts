import { type Signal, signalName, signalNumber } from '@sdrx/linux';
import type { SimulatedPipe } from './simulated-pipe.js';
import type { ProgramFate, SimulatedProcess } from './simulated-process.js';

/** Timers may come so much later, in milliseconds, and sums of times are a little off. */
export const LATE = 1.001;
const INEXACT = 1e-6;

/** Whoever holds the output of a program that has ended is waited for so long, and so is what was killed, in milliseconds. */
const LINGER = 1000;

/** So late at most it is found out that nothing is left of a group, in milliseconds. */
const LOOK = 200;

/** What a run is made of, and what is known of its supervisor. */
export interface RunFacts {
  readonly attempt: number;
  readonly leader: SimulatedProcess;
  readonly fate: ProgramFate;
  readonly followers: readonly SimulatedProcess[];
  /** Of standard output and error. */
  readonly pipes: readonly SimulatedPipe[];
  readonly processGroup: boolean;
  readonly isOldKernel: boolean;
  readonly stopSignal: Signal;
  readonly deadline: number;
}

/** The rules for one run of a program, from its start until its end was told. */
export class RunRules {
  readonly facts: RunFacts;
  readonly #now: () => number;
  readonly #violated: (rule: string) => void;
  /** Since when it is asked to end. */
  #askedAt: number | undefined;
  #blame: 'stop' | 'watchdog' | undefined;
  /** When somebody last wished it to end, or to end at once. */
  #stoppedAt: number | undefined;
  #hurriedAt: number | undefined;
  #hurries = 0;
  #watchdogAt: number | undefined;
  #continuedAt: number | undefined;
  /** When it was first killed, as it did not end in time. */
  #killedAt: number | undefined;
  /** Whether all were sent SIGKILL, for whatever reason. */
  #isSwept = false;
  /** Whether its end was looked at, and is taken next. */
  #isSeen = false;
  /** When its end was taken. */
  #noticedAt: number | undefined;
  /** When it could not be found out last whether something of its group runs. */
  #blindAt = Number.NEGATIVE_INFINITY;
  /** What it wrote as far as it was told. */
  readonly #lines: string[][] = [[], []];
  isPaused = false;
  isDisposed = false;

  constructor(facts: RunFacts, now: () => number, violated: (rule: string) => void) {
    this.facts = facts;
    this.#now = now;
    this.#violated = (rule) => violated(`run ${facts.attempt}: ${rule}`);
  }

  /** Why it has ended, as far as that was by a wish. */
  get blame(): 'stop' | 'watchdog' | undefined {
    return this.#blame;
  }

  /** Whether it had to be killed. */
  get forced(): boolean {
    return this.#killedAt !== undefined;
  }

  get noticedAt(): number | undefined {
    return this.#noticedAt;
  }

  /** Whether it is known to have ended. */
  get isEnding(): boolean {
    return this.#isSeen || this.#noticedAt !== undefined;
  }

  /** Those of its group of which one can see that they run. */
  get left(): SimulatedProcess[] {
    const { leader, followers, processGroup } = this.facts;
    return [leader, ...(processGroup ? followers : [])].filter(({ runs, group }) => runs && group === leader.group);
  }

  /** It is to end; the second time at once. */
  stopped(isFirst: boolean): void {
    this.#stoppedAt = this.#now();
    if (!isFirst) {
      this.#hurriedAt = this.#now();
      this.#hurries++;
    }
    if (this.#noticedAt === undefined) this.#blame ??= 'stop';
  }

  /** Its watchdog says that it hangs. */
  hangs(): void {
    this.#watchdogAt = this.#now();
    if (this.#noticedAt === undefined) this.#blame ??= 'watchdog';
  }

  /** Its group, or it alone, is sent a signal, which reaches somebody or not. */
  signalled(signal: Signal, how: 'by pidfd' | 'by number' | 'alone', isReaching: boolean): void {
    const { processGroup, stopSignal } = this.facts;
    if ((how === 'alone') === processGroup) this.#violated(`a signal is sent ${how}`);
    if (signal === 'SIGKILL') this.#isSwept = true;
    if (this.isDisposed) {
      if (signal !== 'SIGKILL') this.#violated(`${signalName(signalNumber(signal))} at the end of it all`);
    } else if (signal === 'SIGKILL') this.#wasKilled(how, isReaching);
    else if (signal === stopSignal) this.#wasAsked();
    else if (signal === 'SIGCONT') this.#continuedAt = this.#now();
    else this.#violated(`nobody has said anything of ${signal}`);
  }

  /** By its number a group is known only until its leader was reaped. */
  numbered(): void {
    if (!this.facts.isOldKernel) this.#violated('a group is known by its number where its pidfd would do');
    if (this.facts.leader.isReaped) this.#violated('a group is known by its number, which may be another one');
  }

  /** It is looked whether something of the group runs. */
  looked(isRefused: boolean, hasMembers: boolean): void {
    if (isRefused) this.#blindAt = this.#now();
    if (!hasMembers) this.#violated('a group is looked for of which nobody is left');
  }

  /** How it ended is looked at, and not taken yet. */
  seen(): void {
    this.#isSeen = true;
  }

  /** Its end is taken. */
  noticed(): void {
    const { isOldKernel, fate } = this.facts;
    const isLost = isOldKernel && !fate.isReapedElsewhere && !this.#isSwept && this.left.length > 0;
    if (isLost) this.#violated(`${this.#names()} can't be told anything any more, and was not killed`);
    this.#isSeen = false;
    this.#noticedAt ??= this.#now();
  }

  /** Its output is read. */
  read(): void {
    if (this.isPaused && this.#noticedAt === undefined) this.#violated('its output is read while it is paused');
  }

  line(stream: 0 | 1, text: string): void {
    this.#lines[stream]?.push(text);
  }

  /** Its end is told. @param outputLeft what is told of that */
  over(outputLeft: boolean): void {
    const { pipes } = this.facts;
    const now = this.#now();
    if (this.#noticedAt === undefined) {
      this.#violated('its end is told before it was noticed');
      return;
    }
    if (this.#stays && !this.#mayBeLeft(now)) this.#violated(`its end is told while ${this.#names()} runs`);
    if (outputLeft !== pipes.some(({ isHeld }) => isHeld)) this.#violated(`output left: ${outputLeft}`);
    if (outputLeft && now < this.#noticedAt + LINGER - INEXACT && !this.#isHurried(now))
      this.#violated('who holds the output was not waited for');
    for (const [stream, { written, hasUnread }] of pipes.entries()) {
      const lines = written.split('\n');
      if (lines.at(-1) === '') lines.pop();
      if (hasUnread || lines.join('\n') !== this.#lines[stream]?.join('\n'))
        this.#violated(`of ${JSON.stringify(lines)} was told ${JSON.stringify(this.#lines[stream])}`);
    }
  }

  /** At rest. */
  check(): void {
    const { leader, fate } = this.facts;
    const now = this.#now();
    if (this.#noticedAt === undefined && now >= leader.endedAt + fate.late) this.#violated('its end was not noticed');
    this.#checkAsked();
    this.#checkKilled(now);
    this.#checkOver(now);
  }

  #wasAsked(): void {
    const now = this.#now();
    const isWished = this.#stoppedAt === now || this.#watchdogAt === now || this.#noticedAt !== undefined;
    if (!isWished) this.#violated('it is asked to end for no reason');
    if (this.#askedAt !== undefined) this.#violated('it is asked to end once more');
    this.#askedAt = now;
  }

  #wasKilled(how: 'by pidfd' | 'by number' | 'alone', isReaching: boolean): void {
    const now = this.#now();
    // What is left when the leader ends can't be told anything later.
    if (how === 'by number' && this.#isSeen) return;
    if (!this.#isHurried(now)) this.#violated('it is killed too soon');
    if (isReaching) this.#killedAt ??= now;
  }

  /** Whether it may be ended by force by now. */
  #isHurried(now: number): boolean {
    const { POSITIVE_INFINITY } = Number;
    // Where nobody is there to be asked the first wish counts.
    const firstWish = Math.min(this.#stoppedAt ?? POSITIVE_INFINITY, this.#watchdogAt ?? POSITIVE_INFINITY);
    const wishedAt = this.#askedAt ?? firstWish;
    return this.#hurriedAt === now || wishedAt + this.facts.deadline <= now + INEXACT;
  }

  /** Whether something runs that must not when the next one starts. On an older kernel nobody can tell. */
  get #stays(): boolean {
    return this.left.length > 0 && !this.facts.isOldKernel;
  }

  /** Whether something runs that can be sent a signal. */
  get #canBeTold(): boolean {
    return this.facts.leader.runs || this.#stays;
  }

  /** What hangs in the kernel is not waited for, nor what somebody does not want to wait for. */
  #mayBeLeft(now: number): boolean {
    if (this.#killedAt === undefined) return false;
    const wasKilledBefore = (this.#askedAt ?? now) + this.facts.deadline <= this.#killedAt + INEXACT;
    if (this.#hurries > (wasKilledBefore ? 0 : 1)) return true;
    return now >= Math.max(this.#killedAt, this.#noticedAt ?? now) + LINGER - INEXACT;
  }

  #checkAsked(): void {
    const { leader } = this.facts;
    const wished = this.#stoppedAt ?? this.#watchdogAt;
    if (wished !== undefined && leader.runs && this.#askedAt === undefined) this.#violated('it is not asked to end');
    if (this.#askedAt !== this.#continuedAt && this.#canBeTold) this.#violated('it is asked to end, but not to go on');
  }

  #checkKilled(now: number): void {
    if (!this.#canBeTold) return;
    const due = (this.#askedAt ?? Number.POSITIVE_INFINITY) + this.facts.deadline + LATE;
    const isDue = this.#hurriedAt !== undefined || now > due;
    if (isDue && this.#killedAt === undefined) this.#violated(`${this.#names()} was not killed`);
  }

  /** Its end must have been told by now. */
  #checkOver(now: number): void {
    if (this.#noticedAt === undefined) return;
    const { pipes } = this.facts;
    const gone = this.#groupGoneAt();
    const killed = this.#killedAt === undefined ? Number.POSITIVE_INFINITY : Math.max(this.#killedAt, this.#noticedAt);
    const alone = Math.min(gone, killed + LINGER + LATE);
    const silent = Math.max(alone, ...pipes.map(({ silentSince }) => silentSince));
    const due = Math.min(silent, alone + LINGER + LATE);
    if (now > due + LATE) this.#violated(`its end is not told, which was due at ${due}`);
  }

  /** When it was to be seen that nothing of the group runs; Infinity if something does. */
  #groupGoneAt(): number {
    const noticed = this.#noticedAt ?? Number.POSITIVE_INFINITY;
    if (this.facts.isOldKernel || !this.facts.processGroup) return noticed;
    const { followers, leader } = this.facts;
    const ends = followers.filter(({ group }) => group === leader.group).map(({ endedAt }) => endedAt);
    const last = Math.max(0, ...ends, this.#blindAt);
    return last < noticed ? noticed : last + LOOK + LATE;
  }

  #names(): string {
    return this.left.map(({ pid }) => pid).join(', ');
  }
}
