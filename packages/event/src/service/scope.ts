import {
  checkArray,
  checkBoolean,
  checkChoice,
  checkFunction,
  checkNumber,
  checkObject,
  checkText,
  wrongKind,
} from '@sdrx/linux';
import { isObservable, lastValueFrom } from 'rxjs';
import { later as byTimer, type Later } from './later.js';
import { messageOf } from './message-of.js';

/** How long a step may take by default, in milliseconds. */
const DEADLINE = 30_000;

/** How long a step may go on after its signal, in milliseconds; then it is left behind. */
const GRACE = 1000;

/** What a step is told of the end that it is a part of. */
export interface Ending {
  /** Aborted when there is no more time: what is under way is to be broken off. At once in an immediate end. */
  readonly signal: AbortSignal;
}

/** Ends something; in its own time as long as the signal is not aborted. A promise or an Observable that it returns is waited for. */
export type EndStep = (ending: Ending) => unknown;

/** How a step is to be done. */
export interface StepOptions {
  /** How long it may take until its signal is aborted, in milliseconds; Infinity for any time. By default the scope's. */
  readonly deadline?: number;
}

/** How a scope ends. */
export interface ScopeOptions {
  /** How long a step may take, in milliseconds, by default 30,000; Infinity for any time. */
  readonly deadline?: number;
  /** By what it is called at a deadline, by default a timer of Node's. A test has the time of a `VirtualLoop`. */
  readonly later?: Later;
}

/** A step that was still under way when its deadline was over, or that did not end after it. */
export class DeadlineError extends Error {
  /** The class's. */
  override readonly name = 'DeadlineError';

  constructor(
    /** The step's name. */
    readonly step: string,
    /** In milliseconds. */
    readonly deadline: number,
    /** Whether it went on after it was told to break off. */
    readonly leftBehind: boolean,
  ) {
    checkText('step', step);
    checkNumber('deadline', deadline, 0, Number.POSITIVE_INFINITY);
    checkBoolean('leftBehind', leftBehind);
    super(
      leftBehind
        ? `'${step}' has not ended, ${GRACE} ms after it was told to break off`
        : `'${step}' took longer than ${deadline} ms and was broken off`,
    );
  }
}

/** What went wrong at the end of a scope, in the order of its steps. */
export class EndError extends AggregateError {
  /** The class's. */
  override readonly name = 'EndError';

  constructor(errors: readonly unknown[]) {
    checkArray('errors', errors, () => {});
    super(errors, `${errors.length} steps of the end failed: ${errors.map(messageOf).join('; ')}`);
  }
}

interface Step {
  readonly name: string;
  readonly end: EndStep;
  readonly deadline: number;
}

/**
 * What was begun and is to be ended: the last first, one after another, each with its time. A step that fails or hangs keeps none
 * of the others from being done.
 *
 * There are two ways to end: gracefully, where each step has until its deadline, and immediately, where each is told at once to
 * break off. The first may become the second at any moment. Where an Observable or a promise is wanted, both do.
 *
 * @example
 * await using scope = new Scope({ deadline: 5000 });
 * const server = createServer().listen();
 * // Done last, and told to hurry when its time is over.
 * scope.add('server', ({ signal }) => {
 *   signal.addEventListener('abort', () => server.closeAllConnections());
 *   return new Promise((resolve) => server.close(resolve));
 * });
 */
export class Scope implements AsyncDisposable {
  readonly #steps: Step[] = [];
  readonly #deadline: number;
  readonly #later: Later;
  readonly #immediate = new AbortController();
  #ending: Promise<void> | undefined;

  /** @throws RangeError for a deadline that is no time */
  constructor(options: ScopeOptions = {}) {
    checkObject('options', options);
    const { deadline = DEADLINE, later = byTimer } = options;
    checkFunction('later', later);
    this.#deadline = checked(deadline);
    this.#later = later;
  }

  /** Whether the end has begun. */
  get ending(): boolean {
    return this.#ending !== undefined;
  }

  /**
   * Adds a step.
   * @param name for errors
   * @returns what takes it out again, without doing it
   * @throws Error once the end has begun; RangeError for a deadline that is no time
   */
  add(name: string, end: EndStep, options: StepOptions = {}): Disposable {
    checkText('name', name);
    checkFunction('end', end);
    checkObject('options', options);
    if (options.deadline !== undefined) checked(options.deadline);
    const { deadline = this.#deadline } = options;
    if (this.ending) throw new Error(`'${name}' can't be added to a scope that ends`);
    const step: Step = { name, end, deadline };
    this.#steps.push(step);
    return {
      [Symbol.dispose]: () => {
        const index = this.#steps.indexOf(step);
        if (index >= 0) this.#steps.splice(index, 1);
      },
    };
  }

  /** Adds the disposal of something, which it returns. */
  use<T extends Disposable | AsyncDisposable>(name: string, thing: T, options?: StepOptions): T {
    checkText('name', name);
    if (!isDisposable(thing)) throw wrongKind('thing', 'something that can be disposed of', thing);
    const dispose = Symbol.asyncDispose in thing ? () => thing[Symbol.asyncDispose]() : () => thing[Symbol.dispose]();
    this.add(name, dispose, options);
    return thing;
  }

  /**
   * Ends all. Once begun it is the same end for all who ask.
   * @param how `immediate` also hurries one that has begun gracefully
   * Rejects with EndError if something failed, when all is done.
   */
  end(how: 'graceful' | 'immediate' = 'graceful'): Promise<void> {
    checkChoice('how', how, ['graceful', 'immediate']);
    if (how === 'immediate') this.#immediate.abort();
    // The end has begun before its first step does, which may ask for it, too.
    this.#ending ??= Promise.resolve().then(() => this.#endAll());
    return this.#ending;
  }

  /** As `end`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.end();
  }

  async #endAll(): Promise<void> {
    const errors: unknown[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      errors.push(...(await this.#endOne(step)));
    }
    if (errors.length > 0) throw new EndError(errors);
  }

  /** @returns what went wrong */
  async #endOne({ name, end, deadline }: Step): Promise<unknown[]> {
    const errors: unknown[] = [];
    const hurry = new AbortController();
    const signal = AbortSignal.any([this.#immediate.signal, hurry.signal]);
    const late = () => {
      if (signal.aborted) return;
      errors.push(new DeadlineError(name, deadline, false));
      hurry.abort();
    };
    const unlimit = deadline === Number.POSITIVE_INFINITY ? () => {} : this.#later(deadline, late);
    let endGrace = () => {};
    const leftBehind = new Promise<void>((resolve) => {
      const wait = () => {
        endGrace = this.#later(GRACE, () => {
          errors.push(new DeadlineError(name, deadline, true));
          resolve();
        });
      };
      if (signal.aborted) wait();
      else signal.addEventListener('abort', wait, { once: true });
    });
    try {
      await Promise.race([settled(end, { signal }), leftBehind]);
    } catch (error) {
      errors.push(error);
    }
    unlimit();
    // Now, as later it would begin to wait for nobody.
    hurry.abort();
    endGrace();
    return errors;
  }
}

function isDisposable(thing: unknown): boolean {
  return typeof thing === 'object' && thing !== null && (Symbol.asyncDispose in thing || Symbol.dispose in thing);
}

async function settled(end: EndStep, ending: Ending): Promise<unknown> {
  const result = end(ending);
  return isObservable(result) ? lastValueFrom(result, { defaultValue: undefined }) : result;
}

function checked(deadline: number): number {
  if (deadline !== Number.POSITIVE_INFINITY) checkNumber('deadline', deadline, 0);
  return deadline;
}
