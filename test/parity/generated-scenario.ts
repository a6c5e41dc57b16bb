import fc from 'fast-check';

/*
 * Scenarios whose trace is the same however fast the machine is: timers are long due or far away, rate limits don't end, and
 * a `defer` of the lowest priority ends the loop when nothing else is left to do. In half of them all sources have different
 * priorities, so that sd-event leaves nothing to chance. In the others there are few priorities; where sd-event then finds two
 * sources equal in every respect, its interpreter says so by `tie`, and the trace means nothing.
 */

const KINDS = ['io', 'time', 'defer', 'post', 'signal', 'exiting'] as const;
const VERBS = [
  ...['add', 'add', 'take', 'off', 'on', 'oneshot', 'remove', 'priority', 'priority', 'events'],
  ...['raise', 'raise', 'queue', 'new', 'new', 'exit', 'fail', 'state', 'iteration'],
] as const;
// No edges: one that comes while the former is pending is told with it or on its own, by when the kernel is asked.
const EVENTS = ['in', 'out', 'none'];
const MAX_SOURCES = 7;
const MAX_STEPS = 14;
/** In a scenario with equal priorities. */
const FEW = 3;
/** How often a signal is sent before the loop runs. */
const MAX_SENT = 3;
/** A source that comes so often ends the loop. */
const TOO_OFTEN = 7;

type Kind = (typeof KINDS)[number];
type Verb = (typeof VERBS)[number];

interface Model {
  /** Whether there are few priorities only. */
  readonly equal: boolean;
  readonly sources: readonly SourceModel[];
  readonly steps: readonly StepModel[];
  /** In the order of their use. */
  readonly priorities: readonly number[];
}

interface SourceModel {
  readonly kind: Kind;
  readonly mode: 'on' | 'off' | 'oneshot';
  readonly burst: number | null;
  readonly events: number;
  readonly failure: boolean;
  readonly due: boolean;
  readonly ready: boolean;
  readonly takes: boolean;
  readonly sent: number;
}

/** A statement that a source executes at a call of its handler, or of its preparation. */
interface StepModel {
  readonly source: number;
  readonly prepare: boolean;
  readonly nth: number;
  readonly verb: Verb;
  readonly target: number;
  readonly number: number;
  readonly added: SourceModel;
}

const sourceModel: fc.Arbitrary<SourceModel> = fc.record({
  kind: fc.constantFrom(...KINDS),
  mode: fc.constantFrom('on', 'on', 'oneshot', 'off'),
  burst: fc.option(fc.integer({ min: 1, max: 3 }), { freq: 5 }),
  events: fc.nat(EVENTS.length - 1),
  failure: fc.boolean(),
  due: fc.boolean(),
  ready: fc.boolean(),
  takes: fc.boolean(),
  sent: fc.nat(MAX_SENT),
});

const stepModel: fc.Arbitrary<StepModel> = fc.record({
  source: fc.nat(9),
  prepare: fc.boolean(),
  nth: fc.integer({ min: 1, max: 4 }),
  verb: fc.constantFrom(...VERBS),
  target: fc.nat(9),
  number: fc.integer({ min: -4, max: 4 }),
  added: sourceModel,
});

/** None that several have, not the 0 either that each source begins with: see `#staysWhereItIs`. */
const priority = fc.integer({ min: -50, max: 50 }).filter((priority) => priority < 0 || priority > FEW);

const model: fc.Arbitrary<Model> = fc.record({
  equal: fc.boolean(),
  sources: fc.array(sourceModel, { minLength: 2, maxLength: MAX_SOURCES }),
  steps: fc.array(stepModel, { maxLength: MAX_STEPS }),
  priorities: fc.uniqueArray(priority, {
    minLength: MAX_SOURCES + MAX_STEPS,
    maxLength: MAX_SOURCES + MAX_STEPS,
  }),
});

/** A scenario in the language of scenarios/README.md. */
export const generatedScenario: fc.Arbitrary<string> = model.map((model) => new Writer(model).text());

class Writer {
  readonly #model: Model;
  readonly #setup: string[] = [];
  readonly #hooks: string[] = [];
  /** Last, since nothing else happens in a handler after it failed. */
  readonly #failures: string[] = [];
  readonly #prepared: ReadonlySet<number>;
  readonly #failing: ReadonlySet<number>;
  #priorities = 0;
  readonly #changed = new Set<number>();
  #added = 0;
  #sent = 0;
  readonly #sendings: string[] = [];

  constructor(model: Model) {
    this.#model = model;
    const sourcesOf = (steps: readonly StepModel[]) => new Set(steps.map(({ source }) => this.#index(source)));
    this.#prepared = sourcesOf(model.steps.filter(({ prepare }) => prepare));
    this.#failing = sourcesOf(model.steps.filter(({ verb }) => verb === 'fail'));
  }

  text(): string {
    const { sources, steps } = this.#model;
    sources.forEach((source, index) => {
      const name = `s${index}`;
      this.#setup.push(this.#source(name, source, this.#prepared.has(index)));
      this.#hooks.push(`when ${name} ${TOO_OFTEN} exit ${TOO_OFTEN}`);
      if (source.kind === 'signal') {
        for (let count = 0; count < source.sent; count++) this.#sendings.push(this.#queue(name));
      }
      if (source.kind === 'io' && source.takes) this.#hooks.push(`when ${name} * take ${name}`);
    });
    for (const step of steps) this.#step(step);
    this.#setup.push('defer end priority=1000');
    this.#hooks.push('when end 1 exit 0', 'finally state', 'finally iteration');
    return [...this.#setup, ...this.#sendings, ...this.#hooks, ...this.#failures].join('\n');
  }

  /** libsystemd loses signals when one of several sources leaves their priority, or one of whose signals several are pending. */
  #staysWhereItIs(signal: number): boolean {
    const { equal, sources, steps } = this.#model;
    const isSentBy = (sending: Verb) =>
      steps.some(({ verb, target }) => verb === sending && this.#index(target) === signal);
    const sent = sources[signal]?.sent ?? 0;
    return equal || isSentBy('queue') || sent > 1 || (sent > 0 && isSentBy('raise'));
  }

  #index(number: number): number {
    return number % this.#model.sources.length;
  }

  /**
   * A priority that no source has had, unless some are to have the same. Not so `exiting` and prepared sources, whose order
   * sd-event leaves to chance, and `defer`, which once it is pending keeps others of its priority from ever coming.
   */
  #priority(kind: Kind, prepared: boolean): number {
    const { equal, priorities } = this.#model;
    const number = priorities[this.#priorities++] ?? 0;
    return equal && kind !== 'exiting' && kind !== 'defer' && !prepared ? 1 + (Math.abs(number) % FEW) : number;
  }

  /** Sends the signal of a source with a number that no other has. */
  #queue(name: string): string {
    return `queue ${signalOf(name)} ${++this.#sent}`;
  }

  #source(name: string, model: SourceModel, prepared: boolean): string {
    const { kind, mode, burst, ready, events, failure, due } = model;
    // sd-event takes no other signal of a priority while a rate limit holds one of them back.
    const limited = burst !== null && !prepared && kind !== 'post' && kind !== 'exiting';
    const holdsOthersBack = this.#model.equal && kind === 'signal';
    // Each has its own, since sd-event knows a descriptor only once.
    if (kind === 'io') this.#setup.push(`eventfd ${name} ${ready ? 1 : 0}`);
    const what = {
      io: `io ${name} ${name} ${EVENTS[events]}`,
      time: `time ${name} monotonic ${due ? 'at 1' : 'after 3600000'}`,
      signal: `signal ${name} ${signalOf(name)}`,
    };
    return [
      kind in what ? what[kind as keyof typeof what] : `${kind} ${name}`,
      `priority=${this.#priority(kind, prepared)}`,
      ...(kind === 'signal' ? [] : [`enabled=${modeFor(kind, prepared ? 'on' : mode)}`]),
      ...(limited && !holdsOthersBack ? [`ratelimit=3600000,${burst}`] : []),
      ...(failure && kind !== 'exiting' ? ['failure'] : []),
    ].join(' ');
  }

  #step({ source, prepare, nth, verb, target, number, added }: StepModel): void {
    const { sources } = this.#model;
    const from = this.#index(source);
    const fromKind = sources[from]?.kind;
    const to = this.#index(target);
    const kind = sources[to]?.kind ?? 'defer';
    const hook = `${prepare && fromKind !== 'exiting' ? 'prepare' : 'when'} s${from} ${nth}`;
    const prepared = this.#prepared.has(to);
    // A signal that nobody listens to would end the process. And of a source that turned itself off and on, here it is the
    // former that fails.
    const stays = kind === 'signal' || (from === to && this.#failing.has(from));
    const statements: Readonly<Record<Verb, () => string | false>> = {
      add: () => kind === 'io' && `add s${to} 1`,
      take: () => kind === 'io' && `take s${to}`,
      off: () => !stays && `enable s${to} off`,
      on: () => !stays && !prepared && `enable s${to} ${modeFor(kind, 'on')}`,
      oneshot: () => !stays && !prepared && `enable s${to} oneshot`,
      remove: () => !stays && `remove s${to}`,
      // Preparing goes by the priorities at its begin.
      priority: () =>
        !(prepare && prepared) &&
        !(kind === 'signal' && this.#staysWhereItIs(to)) &&
        `priority s${to} ${this.#priority(kind, prepared)}`,
      events: () => kind === 'io' && this.#changeEvents(to, number),
      raise: () => kind === 'signal' && `raise ${signalOf(`s${to}`)}`,
      queue: () => kind === 'signal' && this.#queue(`s${to}`),
      new: () => added.kind !== 'signal' && this.#source(`n${this.#added++}`, added, false),
      exit: () => `exit ${number}`,
      fail: () => fromKind !== 'signal' && 'fail',
      state: () => 'state',
      iteration: () => 'iteration',
    };
    const statement = statements[verb]();
    if (statement) (verb === 'fail' ? this.#failures : this.#hooks).push(`${hook} ${statement}`);
  }

  /** Once, and to others: sd-event takes no notice of the same ones, which here ask the kernel anew. */
  #changeEvents(source: number, number: number): string | false {
    if (this.#changed.has(source)) return false;
    this.#changed.add(source);
    const former = this.#model.sources[source]?.events ?? 0;
    return `events s${source} ${EVENTS[(former + 1 + (Math.abs(number) % (EVENTS.length - 1))) % EVENTS.length]}`;
  }
}

function signalOf(name: string): string {
  return `SIGRTMIN+${Number(name.slice(1)) + 1}`;
}

/** Timers and exit sources come once and no more until they are enabled again. */
function modeFor(kind: Kind, mode: SourceModel['mode']): SourceModel['mode'] {
  return mode === 'on' && (kind === 'time' || kind === 'exiting') ? 'oneshot' : mode;
}
