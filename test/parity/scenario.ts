import { type EventLoop, exitOnSignal, watchdog } from '@sdrx/event';
import type { Clock } from '@sdrx/linux';
import { epollNames, maskOf } from './names.js';
import { ScenarioSource, sourceKinds } from './scenario-source.js';
import { Unsupported, type World } from './world.js';

/** What a handler throws when the scenario says that it fails. */
export class HandlerFailure extends Error {
  override readonly name = 'HandlerFailure';
}

/** A scenario that does not end by itself is ended at so many lines. */
const MAX_TRACE = 1000;

const HOOKS = ['when', 'prepare', 'expire', 'finally'];

/** One run of a scenario (scenarios/README.md) on a loop of ours; sd-event.c does the same with libsystemd's. */
export class Scenario {
  readonly world: World;
  readonly #statements: readonly string[];
  readonly #sources = new Map<string, ScenarioSource>();
  readonly #write: (line: string) => void;
  #traced = 0;
  #secondRun: string | undefined;

  /**
   * @param world made for the scenario, of what takes the trace
   * @param write takes the trace, line by line
   */
  constructor(text: string, world: (trace: (line: string) => void) => World, write: (line: string) => void) {
    this.#write = write;
    this.world = world((line) => this.trace(line));
    this.#statements = text.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'));
  }

  get loop(): EventLoop {
    return this.world.loop;
  }

  /** Runs it to its end. */
  async run(): Promise<void> {
    try {
      await this.#run();
    } catch (error) {
      if (!(error instanceof Unsupported)) throw error;
      this.trace(`unsupported ${error.message}`);
    }
    for (const source of this.#sources.values()) source.off();
    this.world.cleanUp();
  }

  async #run(): Promise<void> {
    for (const line of this.#statements) {
      if (!HOOKS.some((hook) => line.startsWith(`${hook} `))) this.execute(line);
    }
    this.trace(`finished ${await this.world.run()}`);
    if (this.#secondRun !== undefined) this.trace(`run ${this.#secondRun}`);
    for (const line of this.#statements) if (line.startsWith('finally ')) this.execute(line.slice('finally '.length));
  }

  trace(line: string): void {
    this.#write(line);
    if (++this.#traced === MAX_TRACE) this.loop.exit(125);
  }

  /** Executes the statements of lines `HOOK NAME nth ...` and `HOOK NAME * ...`. */
  runHooks(hook: string, name: string, nth: number): void {
    for (const line of this.#statements) {
      const [verb, of, when, ...statement] = line.split(' ');
      if (verb === hook && of === name && (when === '*' || when === String(nth))) this.execute(statement.join(' '));
    }
  }

  /** Whether a statement begins like this, in a hook or without one. */
  mentions(beginning: string): boolean {
    return this.#statements.some((line) => `${line} `.includes(`${beginning} `));
  }

  execute(statement: string): void {
    const words = statement.split(' ').filter(Boolean);
    const [verb = '', ...args] = words;
    const execute = this.#verbs[verb] ?? this.world.verbs[verb];
    if (execute !== undefined) execute(...args);
    else if (sourceKinds.includes(verb)) this.#add(words);
    else throw new Error(`there is no statement ${verb}`);
  }

  /** `KIND NAME ...`: a source that had the name is replaced. */
  #add(words: readonly string[]): void {
    const [, name = ''] = words;
    const former = this.#sources.get(name);
    former?.off();
    const source = new ScenarioSource(this, words, former?.dispatched);
    this.#sources.set(name, source);
    source.enable();
  }

  #source(name: string): ScenarioSource {
    const source = this.#sources.get(name);
    if (source === undefined) throw new Error(`no source has the name ${name}`);
    return source;
  }

  readonly #verbs: Readonly<Record<string, (...args: string[]) => void>> = {
    remove: (name = '') => this.#source(name).remove(),
    enable: (name = '', mode = '') => this.#source(name).enable(mode),
    priority: (name = '', priority = '') => this.#source(name).priority.next(Number(priority)),
    events: (name = '', events = '') => this.#source(name).eventMask.next(maskOf(epollNames, events)),
    leave: (name = '') => this.#source(name).leave.next(),
    exit: (code) => this.loop.exit(Number(code)),
    fail: () => {
      throw new HandlerFailure();
    },
    print: (text) => this.trace(`${text}`),
    state: () => this.trace(`state ${this.loop.state}`),
    iteration: () => this.trace(`iteration ${this.loop.iteration}`),
    now: (clock) => this.trace(`now ${this.#nowIsConstant(clock as Clock) ? 'stands still' : 'goes on'}`),
    run: () => this.#runAgain(),
    watchdog: () => {
      watchdog(this.loop).subscribe();
    },
    'exit-on-signal': () => {
      exitOnSignal(this.loop).subscribe();
    },
  };

  /** Whether the loop's time stands still while the clock goes on. */
  #nowIsConstant(clock: Clock): boolean {
    const before = this.loop.now(clock);
    this.world.passTime(clock);
    return this.loop.now(clock) === before;
  }

  #runAgain(): void {
    this.loop.run().catch(({ code }: NodeJS.ErrnoException) => {
      this.#secondRun = code;
    });
  }
}
