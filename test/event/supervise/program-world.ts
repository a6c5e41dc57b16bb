import { type ProgramSystem, type StartedProgram, StartLimit } from '@sdrx/event';
import type { VirtualDescriptor } from '@sdrx/event/testing';
import {
  type ChildChange,
  EBADF,
  ECHILD,
  EINVAL,
  EMFILE,
  EPERM,
  EPOLLIN,
  type Signal,
  type SpawnOptions,
  SystemError,
  signalNumber,
  WEXITED,
  WNOHANG,
  WNOWAIT,
} from '@sdrx/linux';
import type { Unsubscribable } from 'rxjs';
import { RefusingLoop } from './refusing-loop.js';
import { RunRules } from './run-rules.js';
import { SimulatedPipe } from './simulated-pipe.js';
import { type End, type ProcessSurroundings, type ProgramFate, SimulatedProcess } from './simulated-process.js';
import { StartLimitModel } from './start-limit-model.js';
import { type SupervisionOptions, type WatchedLimit, WatchedSupervision } from './watched-supervision.js';

/** How a world is. */
export interface WorldOptions {
  /** Whether the kernel knows no groups by pidfds, as before Linux 6.9. */
  readonly isOldKernel: boolean;
  /** Of those that have one, all the same. */
  readonly limit: { readonly starts: number; readonly interval: number };
  readonly programs: readonly SupervisionOptions[];
  /** What becomes of those that are started, in turn. */
  readonly fates: readonly ProgramFate[];
}

/** The usual program, which stays until it is told to end. */
export const STEADY: ProgramFate = {
  lasts: undefined,
  end: { code: 'exited', status: 0 },
  obeys: 0,
  dies: 0,
  late: 0,
  isStopped: false,
  isForeign: false,
  isReapedElsewhere: false,
  writes: [],
  lastWords: '',
  followers: [],
  watchdog: 'nothing',
  watchdogAfter: 0,
};

/** How long the rules are not looked at, in milliseconds. */
const STEP = 250;

/** No number of a virtual descriptor. */
const FIRST_WRITING_END = 1_500_000_000;

/** How long all may take to end when it has to, in milliseconds: what was killed, and what holds output, is waited for. */
const END = 2500;

const KILLED: End = { code: 'killed', status: signalNumber('SIGKILL') };

/** A program that was started, and what belongs to it. */
interface Run {
  readonly supervision: WatchedSupervision;
  readonly rules: RunRules;
  readonly leader: SimulatedProcess;
  readonly processes: readonly SimulatedProcess[];
  readonly fate: ProgramFate;
  readonly pidfd: VirtualDescriptor;
}

/**
 * A supervisor in a world in which nothing is real but its code: no processes, no pipes, no time. After each step of time, and after
 * each event, the rules are checked.
 */
export class ProgramWorld implements ProgramSystem {
  readonly loop = new RefusingLoop();
  readonly supervisions: readonly WatchedSupervision[];
  /** What becomes of those that are started from now on, in turn. */
  fates: readonly ProgramFate[];
  /** What the next starts fail with. */
  readonly refusedStarts: SystemError[] = [];
  /** How often there is no descriptor for a pipe, or for a look at processes. */
  refusedPipes = 0;
  refusedLooks = 0;
  /** How many runs there were. */
  started = 0;
  readonly #isOldKernel: boolean;
  readonly #finished: Promise<number>;
  readonly #pipes = new Map<number, SimulatedPipe>();
  readonly #writingEnds = new Map<number, SimulatedPipe>();
  readonly #runs = new Map<number, Run>();
  readonly #byDescriptor = new Map<number, Run>();
  #drawn = 0;
  #fate: ProgramFate = STEADY;
  #nextPid = 1000;

  constructor({ isOldKernel, limit, programs, fates }: WorldOptions) {
    this.#isOldKernel = isOldKernel;
    this.fates = fates;
    const shared: WatchedLimit = { limit: new StartLimit(limit), model: new StartLimitModel(limit) };
    this.supervisions = programs.map(
      (options, index) =>
        new WatchedSupervision(
          this.loop,
          `program ${index}`,
          options,
          options.hasLimit ? shared : undefined,
          this,
          () => this.#fate,
        ),
    );
    this.loop.refused = (description, error) => this.#named(description).rules.mustFail(error);
    this.#finished = this.loop.run();
  }

  /** The runs that have not come to their ends, in the order of their starts. */
  get living(): Run[] {
    return [...this.#runs.values()].filter(({ leader }) => leader.runs);
  }

  /** Lets all that is to happen now happen, and checks the rules. Throws Error with those that are not kept. */
  async settle(): Promise<void> {
    await this.loop.settle();
    for (const supervision of this.supervisions) supervision.check();
    const violations = this.supervisions.flatMap(({ rules }) => rules.violations.splice(0));
    if (violations.length > 0) throw new Error(violations.join('; '));
  }

  /** Lets time pass, with a look at the rules again and again. */
  async pass(milliseconds: number): Promise<void> {
    const { loop } = this;
    for (const end = loop.now() + milliseconds; loop.now() < end; ) {
      await loop.advance(Math.min(end - loop.now(), STEP));
      await this.settle();
    }
  }

  /** Ends all, in one of three ways, and checks that nothing is left. Throws Error, LeftOverError. */
  async end(how: 'stop' | 'unsubscribe' | 'exit'): Promise<void> {
    const { loop, supervisions } = this;
    loop.refusals = 0;
    this.refusedLooks = 0;
    for (const supervision of supervisions) supervision.reaction = undefined;
    if (how === 'stop') await this.#stopAll();
    else if (how === 'unsubscribe') for (const supervision of supervisions) supervision.unsubscribe();
    else for (const { rules } of supervisions) rules.disposed();
    if (how !== 'exit') {
      await this.settle();
      this.#letGo();
      await this.settle();
      const left = loop.sources().filter(({ description }) => description !== 'world');
      if (left.length > 0) throw new Error(`left: ${left.map(({ kind, description }) => `${kind} ${description}`)}`);
    }
    loop.exit();
    await loop.finish();
    await this.#finished;
    await this.settle();
    this.#checkLeft();
    loop[Symbol.dispose]();
  }

  start(file: string, { fds = [], group }: SpawnOptions): StartedProgram {
    const supervision = this.#named(file);
    const { rules, options } = supervision;
    if ((group === 'process-group') !== options.processGroup) rules.violated(`its group is ${group}`);
    const refusal = this.refusedStarts.shift();
    if (refusal !== undefined) {
      rules.refused();
      throw refusal;
    }
    const fate = this.fates[this.#drawn++ % this.fates.length] ?? STEADY;
    this.#fate = fate;
    const run = this.#begin(supervision, fate, fds);
    this.started++;
    this.#runs.set(run.leader.pid, run);
    this.#byDescriptor.set(run.pidfd.number, run);
    rules.begun(run.rules);
    const { leader, pidfd, processes } = run;
    for (const process of processes) process.begin();
    return {
      pid: leader.pid,
      pidfd: {
        get number() {
          return pidfd.closed ? -1 : pidfd.number;
        },
      },
      kill: (signal) => this.#signalAlone(run, signal),
      [Symbol.dispose]: () => pidfd[Symbol.dispose](),
    };
  }

  wait(pidfd: number, options: number): ChildChange | undefined {
    const run = this.#byPidfd(pidfd);
    const { leader, rules, supervision } = run;
    if ((options & WEXITED) === 0) supervision.rules.violated('an end is not waited for');
    if (leader.isReaped) {
      rules.noticed();
      throw new SystemError(ECHILD, 'waitid', String(pidfd));
    }
    if (leader.runs) {
      if ((options & WNOHANG) !== 0) return undefined;
      if (!rules.isDisposed) supervision.rules.violated('all wait for the end of one process');
      // The kernel lets go of it.
      leader.finish(KILLED);
      if (leader.isReaped) throw new SystemError(ECHILD, 'waitid', String(pidfd));
    }
    if ((options & WNOWAIT) !== 0) rules.seen();
    else {
      leader.isReaped = true;
      rules.noticed();
    }
    const { code, status } = leader.end ?? KILLED;
    return { pid: leader.pid, code, status };
  }

  isUnreaped(pidfd: number): boolean {
    return !this.#byPidfd(pidfd).leader.isReaped;
  }

  signalGroup(pidfd: number, signal: Signal | 0): boolean {
    const run = this.#byPidfd(pidfd);
    if (this.#isOldKernel) throw new SystemError(EINVAL, 'pidfd_send_signal', String(pidfd));
    return this.#signalGroup(run, signal, 'by pidfd');
  }

  signalGroupById(group: number, signal: Signal | 0): boolean {
    const run = this.#byGroup(group);
    run.rules.numbered();
    return this.#signalGroup(run, signal, 'by number');
  }

  groupRuns(group: number): boolean {
    const { rules, processes } = this.#byGroup(group);
    const members = processes.filter((process) => process.group === group);
    const isRefused = this.refusedLooks > 0;
    rules.looked(
      isRefused,
      members.some(({ isReaped }) => !isReaped),
    );
    if (isRefused) {
      this.refusedLooks--;
      throw new SystemError(EMFILE, 'open', '/proc');
    }
    return members.some(({ runs }) => runs);
  }

  pipe(): readonly [SimulatedPipe['readingEnd'], SimulatedPipe['writingEnd']] {
    if (this.refusedPipes > 0) {
      this.refusedPipes--;
      // Whose it is follows from what is told.
      for (const { rules } of this.supervisions) rules.mayBeRefused();
      throw new SystemError(EMFILE, 'pipe2');
    }
    const descriptor = this.loop.openDescriptor();
    const number = FIRST_WRITING_END + this.#writingEnds.size;
    const pipe = new SimulatedPipe(descriptor, number, () => this.loop.now());
    this.#pipes.set(descriptor.number, pipe);
    this.#writingEnds.set(number, pipe);
    return [pipe.readingEnd, pipe.writingEnd];
  }

  read(fd: number, buffer: Uint8Array): number | undefined {
    const pipe = this.#pipes.get(fd);
    if (pipe === undefined || pipe.isClosed) throw new SystemError(EBADF, 'read', String(fd));
    for (const { rules } of this.supervisions) if (rules.run?.facts.pipes.includes(pipe)) rules.run.read();
    return pipe.read(buffer);
  }

  #begin(supervision: WatchedSupervision, fate: ProgramFate, fds: NonNullable<SpawnOptions['fds']>): Run {
    const { rules, options } = supervision;
    const pipes = fds.flatMap((fd) => (typeof fd === 'number' ? (this.#writingEnds.get(fd) ?? []) : []));
    if (pipes.length !== (options.output === 'lines' ? 2 : 0)) rules.violated(`${pipes.length} pipes`);
    const pidfd = this.loop.openDescriptor();
    const pid = this.#nextPid++;
    const surroundings = this.#surroundings((process) => this.#ended(process, fate, pidfd));
    const leader = new SimulatedProcess(pid, pid, fate, fate.isForeign, fate.isStopped, surroundings);
    const followers = fate.followers.map((follower) => {
      const number = this.#nextPid++;
      const ended = (process: SimulatedProcess) =>
        surroundings.after(follower.unreaped, () => {
          process.isReaped = true;
        });
      const group = follower.escapes ? number : pid;
      return new SimulatedProcess(number, group, follower, false, false, this.#surroundings(ended));
    });
    for (const pipe of pipes) {
      for (const process of [leader, ...followers.filter((_, index) => fate.followers[index]?.holds)]) {
        pipe.openedBy(process);
        process.pipes.add(pipe);
      }
    }
    for (const { at, stream, text } of fate.writes)
      surroundings.after(at, () => {
        if (leader.runs) pipes[stream]?.write(text);
      });
    const { processGroup, stopSignal, deadline } = options;
    const facts = { attempt: rules.attempts, leader, fate, followers, pipes, processGroup, stopSignal, deadline };
    const runRules = new RunRules({ ...facts, isOldKernel: this.#isOldKernel }, () => this.loop.now(), rules.violated);
    return { supervision, rules: runRules, leader, processes: [leader, ...followers], fate, pidfd };
  }

  #surroundings(ended: (process: SimulatedProcess) => void): ProcessSurroundings {
    return { now: () => this.loop.now(), after: (milliseconds, call) => this.#after(milliseconds, call), ended };
  }

  #after(milliseconds: number, call: () => void): Unsubscribable {
    if (milliseconds > 0) {
      const time = this.loop.time({ after: milliseconds, accuracy: 0, description: 'world' });
      // When the loop has finished, time is over.
      return time.subscribe({ next: call, error: () => {} });
    }
    call();
    return { unsubscribe() {} };
  }

  /** A program has ended. */
  #ended(
    leader: SimulatedProcess,
    { late, lastWords, isReapedElsewhere }: ProgramFate,
    pidfd: VirtualDescriptor,
  ): void {
    for (const pipe of leader.pipes) pipe.write(lastWords);
    if (isReapedElsewhere) leader.isReaped = true;
    this.#after(late, () => {
      if (!pidfd.closed) pidfd.ready(EPOLLIN);
    });
  }

  #signalAlone({ leader, rules, supervision, fate }: Run, signal: Signal): boolean {
    if (leader.isReaped) return false;
    if (fate.isForeign) throw this.#forbidden(supervision, rules, leader.pid);
    rules.signalled(signal, 'alone', true);
    leader.signal(signal);
    return true;
  }

  #signalGroup(run: Run, signal: Signal | 0, how: 'by pidfd' | 'by number'): boolean {
    const { leader, rules, supervision } = run;
    const members = run.processes.filter(({ group, isReaped }) => group === leader.pid && !isReaped);
    const reached = members.filter(({ isForeign }) => !isForeign);
    if (members.length > 0 && reached.length === 0) {
      if (signal !== 0) throw this.#forbidden(supervision, rules, leader.pid);
      throw new SystemError(EPERM, 'pidfd_send_signal', String(leader.pid));
    }
    if (signal !== 0) {
      rules.signalled(signal, how, members.length > 0);
      for (const process of reached) process.signal(signal);
    }
    return members.length > 0;
  }

  /** It is to end, and can't be made to. */
  #forbidden({ rules }: WatchedSupervision, { isEnding }: RunRules, pid: number): SystemError {
    const error = new SystemError(EPERM, 'pidfd_send_signal', String(pid));
    if (!isEnding) rules.mustFail(error);
    return error;
  }

  #named(name: string | undefined): WatchedSupervision {
    const supervision = this.supervisions.find((each) => each.name === name);
    if (supervision === undefined) throw new Error(`there is no '${name}'`);
    return supervision;
  }

  #byPidfd(pidfd: number): Run {
    const run = this.#byDescriptor.get(pidfd);
    if (run === undefined || run.pidfd.closed) throw new SystemError(EBADF, 'pidfd', String(pidfd));
    return run;
  }

  #byGroup(group: number): Run {
    const run = this.#runs.get(group);
    if (run === undefined) throw new Error(`there is no group ${group}`);
    return run;
  }

  /** Once, and then again, which is at once. */
  async #stopAll(): Promise<void> {
    for (let time = 0; time < 2; time++) {
      for (const supervision of this.supervisions) if (!supervision.rules.isOver) supervision.stop();
      await this.settle();
      await this.pass(STEP);
    }
    // Foreign ones that hang in the kernel go on otherwise.
    for (const { leader } of this.#runs.values()) leader.finish(KILLED);
    await this.pass(END);
    for (const { rules } of this.supervisions) if (!rules.isOver) rules.violated('it has not come to its end');
    await this.settle();
  }

  /** Whoever is left ends. */
  #letGo(): void {
    for (const { processes } of this.#runs.values()) for (const process of processes) process.finish(KILLED);
  }

  #checkLeft(): void {
    for (const { leader, supervision, fate } of this.#runs.values())
      if (!leader.isReaped && !fate.isForeign) throw new Error(`${supervision.name} has left process ${leader.pid}`);
    for (const { writingEnd } of this.#writingEnds.values())
      if (writingEnd.number >= 0) throw new Error(`the writing end ${writingEnd.number} of a pipe is left`);
    for (const { rules } of this.supervisions) {
      if (rules.watchdogs > 0) throw new Error(`${rules.watchdogs} watchdogs are left`);
      if (!rules.isOver) throw new Error(`${rules.facts.name} has not completed`);
    }
  }
}
