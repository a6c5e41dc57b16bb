import { type ChildChange, isSystemError, type Signal, WEXITED, WNOHANG, WNOWAIT } from '@sdrx/linux';
import { Subscription } from 'rxjs';
import type { SourceOptions } from '../core/source.js';
import type { EventLoop } from '../loop.js';
import type { ChildExit } from '../sources/child.js';
import type { Line } from './line-decoder.js';
import { OutputPipe } from './output-pipe.js';
import { ProgramGroup } from './program-group.js';
import type { StartedProgram } from './program-system.js';
import type { Program, SuperviseSettings } from './supervise-options.js';
import type { EndCause } from './supervision-event.js';

/** How long another process may hold the output of one that has ended, in milliseconds. */
const OUTPUT_LINGER = 1000;

/** How long what a program left behind may take to die of SIGKILL, in milliseconds: not what hangs in the kernel. */
const DEATH_LINGER = 1000;

/** When it is looked first whether what a program left behind has ended, and at most how much later again, in milliseconds. */
const FIRST_LOOK = 10;
const LONGEST_LOOK = 200;

/** How a run ended. */
export interface RunEnd {
  /** Undefined if somebody else has waited for it. */
  readonly exit: ChildExit | undefined;
  readonly cause: EndCause;
  readonly forced: boolean;
  /** In milliseconds. */
  readonly after: number;
  readonly outputLeft: boolean;
}

/** Who is told what becomes of a run. */
export interface RunObserver {
  line(pid: number, stream: 'stdout' | 'stderr', line: Line): void;
  ended(pid: number, end: RunEnd): void;
  failed(error: unknown): void;
  /** The loop has finished. */
  completed(): void;
}

/** One life of a program: its process, perhaps with a group of others, and what it writes. */
export class ProgramRun implements Disposable {
  readonly #loop: EventLoop;
  readonly #settings: SuperviseSettings;
  readonly #observer: RunObserver;
  readonly #process: StartedProgram;
  readonly #group: ProgramGroup | undefined;
  readonly #outputs: readonly OutputPipe[];
  readonly #startedAt: number;
  readonly #subscription = new Subscription();
  readonly #description: string;
  #watch: Subscription | undefined;
  #deadline: Subscription | undefined;
  /** The next look whether something of the group runs. */
  #look: Subscription | undefined;
  #cause: 'stop' | 'watchdog' | undefined;
  #forced = false;
  /** Once the process has ended, all but what is known at the end. */
  #end: Pick<RunEnd, 'exit' | 'after'> | undefined;
  /** Whether nothing but output is waited for. */
  #lastOutput = false;
  #isFinishing = false;
  #over = false;

  /** @throws what `ProgramSystem.start` does, EMFILE */
  constructor(loop: EventLoop, program: Program, settings: SuperviseSettings, observer: RunObserver) {
    const { file, ...options } = program;
    this.#loop = loop;
    this.#settings = settings;
    this.#observer = observer;
    this.#description = file;
    const outputs: OutputPipe[] = [];
    this.#outputs = outputs;
    try {
      if (settings.output === 'lines')
        for (const stream of ['stdout', 'stderr'] as const) outputs.push(this.#pipe(stream));
      const group = settings.processGroup ? { group: options.group ?? 'process-group' } : {};
      this.#process = settings.system.start(file, { ...options, fds: this.#fds(options.fds), ...group });
    } catch (error) {
      for (const output of outputs) output[Symbol.dispose]();
      throw error;
    }
    for (const output of outputs) output.started();
    this.#group = settings.processGroup ? new ProgramGroup(settings.system, this.#process) : undefined;
    this.#startedAt = loop.now();
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Waits for its output and its end, which come from then on. */
  begin(paused: boolean): void {
    this.pause(paused);
    this.#watch = this.#loop.io(this.#process.pidfd.number, this.#source()).subscribe({
      next: () => this.#attempt(() => this.#ended()),
      error: (error) => this.#observer.failed(error),
      complete: () => this.#observer.completed(),
    });
    this.#subscription.add(this.#watch);
  }

  /** While paused it may fill its pipes. What has ended can't do much. */
  pause(paused: boolean): void {
    if (this.#end === undefined) for (const output of this.#outputs) output.listen(!paused);
  }

  /** Asks it to end, and kills it at the deadline. */
  stop(cause: 'stop' | 'watchdog'): void {
    this.#blame(cause);
    this.#attempt(() => this.#ask());
  }

  /** Ends it now, and waits for nothing that another process may still write. */
  kill(cause: 'stop' | 'watchdog' = 'stop'): void {
    this.#blame(cause);
    this.#attempt(() => {
      if (this.#over) return;
      if (this.#lastOutput) {
        this.#finish();
        return;
      }
      this.#deadline?.unsubscribe();
      const again = this.#forced;
      const reached = this.#signal('SIGKILL');
      this.#forced ||= reached;
      if (this.#end === undefined) return;
      if (again || !reached) this.#awaitOutput();
      else this.#awaitDeath();
    });
  }

  /** Ends it at once, and waits for that, as `child` does with its own. */
  [Symbol.dispose](): void {
    this.#over = true;
    this.#subscription.unsubscribe();
    for (const output of this.#outputs) output[Symbol.dispose]();
    try {
      this.#signal('SIGKILL');
      if (this.#end === undefined) {
        this.#group?.leaderEnds();
        this.#settings.system.wait(this.#process.pidfd.number, WEXITED);
      }
    } catch (error) {
      // Nothing can be done about one that took another user's identity, or that somebody else has waited for.
      if (!isSystemError(error, 'EPERM', 'ECHILD', 'ESRCH')) throw error;
    } finally {
      this.#process[Symbol.dispose]();
    }
  }

  #pipe(stream: 'stdout' | 'stderr'): OutputPipe {
    const reader = {
      line: (line: Line) => {
        if (!this.#over) this.#observer.line(this.pid, stream, line);
      },
      ended: () => this.#finishIfSilent(),
      failed: (error: unknown) => this.#observer.failed(error),
    };
    return new OutputPipe(this.#loop, this.#settings.system, reader, this.#settings.lines, this.#source());
  }

  #source(): SourceOptions {
    return { priority: this.#settings.priority, description: this.#description };
  }

  /** Its descriptors, where the options leave them to us. */
  #fds(given: Program['fds']): NonNullable<Program['fds']> {
    const [input = null, output = 1, error = 2, ...others] = given ?? [];
    if (this.#settings.output === 'inherit') return [input, output, error, ...others];
    return [
      input,
      ...(this.#settings.output === 'ignore' ? [null, null] : this.#outputs.map((pipe) => pipe.writingEnd)),
      ...others,
    ];
  }

  /** What fails is the supervision's error. */
  #attempt(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#observer.failed(error);
    }
  }

  /** What comes first counts. */
  #blame(cause: 'stop' | 'watchdog'): void {
    if (this.#end === undefined) this.#cause ??= cause;
  }

  /** @returns whether there was anybody to get it */
  #signal(signal: Signal): boolean {
    if (this.#group !== undefined) return this.#group.signal(signal);
    return this.#end === undefined && this.#process.kill(signal);
  }

  #ask(): void {
    const { stopSignal, deadline } = this.#settings;
    if (this.#over || this.#deadline !== undefined) return;
    this.#deadline =
      deadline === Number.POSITIVE_INFINITY ? Subscription.EMPTY : this.#after(deadline, () => this.kill());
    this.#signal(stopSignal);
    this.#signal('SIGCONT');
  }

  #after(after: number, work: () => void): Subscription {
    let came = false;
    const timer = this.#loop.time({ after, ...this.#source() }).subscribe({
      next: () => {
        came = true;
        this.#attempt(work);
      },
      error: (error) => this.#observer.failed(error),
      // The loop may finish while nothing but this is waited for.
      complete: () => {
        if (!came) this.#observer.completed();
      },
    });
    this.#subscription.add(timer);
    return timer;
  }

  /** Its process has ended. */
  #ended(): void {
    const { system } = this.#settings;
    const { number } = this.#process.pidfd;
    let exit: ChildChange | undefined;
    try {
      exit = system.wait(number, WEXITED | WNOHANG | WNOWAIT);
      if (exit === undefined) return;
      this.#group?.leaderEnds();
      system.wait(number, WEXITED | WNOHANG);
    } catch (error) {
      if (!isSystemError(error, 'ECHILD')) throw error;
      this.#group?.leaderEnds(true);
    }
    this.#watch?.unsubscribe();
    this.#end = { exit: exit as ChildExit | undefined, after: this.#loop.now() - this.#startedAt };
    if (this.#forced) this.#awaitDeath();
    else this.#awaitGroup();
  }

  /** What was killed takes a moment to die. */
  #awaitDeath(): void {
    this.#after(DEATH_LINGER, () => this.#awaitOutput());
    this.#awaitGroup();
  }

  /** What it has left behind ends before it is started again. The kernel does not tell when. */
  #awaitGroup(nextLook = FIRST_LOOK): void {
    this.#look?.unsubscribe();
    if (this.#lastOutput) return;
    if (this.#group?.runs !== true) {
      this.#awaitOutput();
      return;
    }
    this.#ask();
    this.#look = this.#after(nextLook, () => this.#awaitGroup(Math.min(nextLook * 2, LONGEST_LOOK)));
  }

  /** Its last lines come before its end is told. */
  #awaitOutput(): void {
    if (this.#lastOutput) return;
    this.#deadline?.unsubscribe();
    this.#lastOutput = true;
    for (const output of this.#outputs) {
      output.listen(true);
      output.drain();
    }
    this.#finishIfSilent();
    if (!this.#over) this.#after(OUTPUT_LINGER, () => this.#finish());
  }

  #finishIfSilent(): void {
    if (this.#lastOutput && !this.#outputs.some((output) => output.open)) this.#finish();
  }

  #finish(): void {
    if (this.#over || this.#isFinishing || this.#end === undefined) return;
    // Whoever gets its last line may want it to end at once.
    this.#isFinishing = true;
    for (const output of this.#outputs) output.drain();
    const outputLeft = this.#outputs.some((output) => output.open);
    for (const output of this.#outputs) output.finish();
    // Whoever got a line may have ended it all.
    if (this.#over) return;
    this.#over = true;
    this.#subscription.unsubscribe();
    this.#process[Symbol.dispose]();
    const { exit } = this.#end;
    const own = exit === undefined ? 'unknown' : exit.code === 'exited' ? 'exit' : 'signal';
    this.#observer.ended(this.pid, { ...this.#end, cause: this.#cause ?? own, forced: this.#forced, outputLeft });
  }
}
