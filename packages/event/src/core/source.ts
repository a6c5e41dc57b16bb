import { AsyncResource } from 'node:async_hooks';
import type { Observable, Subscriber, Unsubscribable } from 'rxjs';
import type { Attachment } from './attachment.js';
import { checkPriority } from './check-options.js';
import type { Dispatchable, SourceKind, SourceOrigin, SourceState } from './dispatchable.js';
import type { Pending } from './pending.js';
import { RateLimit, type RateLimitOptions } from './rate-limit.js';
import type { Scheduler } from './scheduler.js';
import type { SourceHandle } from './source-handle.js';
import { endByUnhandled, type Unhandled } from './unhandled.js';

/** What every source can be given. Where an option is an Observable, its error ends the source. */
export interface SourceOptions {
  /**
   * Lower runs first; any integer, 0 by default. An Observable changes it with each value, also of a source that waits for
   * its turn. sd_event_source_set_priority(3).
   */
  readonly priority?: number | Observable<number>;
  /** What the source is for, in the messages of the loop's own errors. sd_event_source_set_description(3). */
  readonly description?: string;
  /**
   * What an error thrown by an observer does: `false` (the default) surfaces it as Node's `uncaughtException`, `true` ends
   * the loop with code 1, a number with that code, and the error becomes a warning of Node's.
   * sd_event_source_set_exit_on_failure(3).
   */
  readonly exitOnFailure?: boolean | number;
  /** Called once an iteration, by priority, before the loop waits. sd_event_source_set_prepare(3). */
  readonly prepare?: () => void;
  /** At most so many dispatches in so long a time. sd_event_source_set_ratelimit(3). */
  readonly ratelimit?: RateLimitOptions;
}

/** Sees to it that a source becomes pending. What it throws is the subscription's error. */
export type Attach<T, O extends SourceOptions, S extends Source<T> = Source<T>> = (
  source: S,
  options: O,
  core: Scheduler,
) => Attachment<T>;

/** Makes a source for a subscription. */
export type SourceClass<T, S extends Source<T>> = new (
  core: Scheduler,
  kind: SourceKind,
  options: SourceOptions,
  subscriber: Subscriber<T>,
) => S;

/** Its end is told at the end of the subscription; to tell it when it is collected would cost a weak reference each. */
const RESOURCE = { requireManualDestroy: true };

/**
 * One subscription to a source: it becomes pending with a value, waits in the loop's queue for its turn, and is then
 * dispatched to its subscriber.
 *
 * Whatever it calls of a user's sees the asynchronous context (AsyncLocalStorage) of the subscription, not of whoever woke the
 * loop. As a resource it has that by itself, with no object beside it: there may be very many.
 */
export class Source<T> extends AsyncResource implements Dispatchable, SourceHandle<T>, Unhandled, Unsubscribable {
  priority: number;
  since = 0;
  bucket: Pending['bucket'] = undefined;
  previous: Pending | undefined = undefined;
  next: Pending | undefined = undefined;
  older: Dispatchable | undefined = undefined;
  newer: Dispatchable | undefined = undefined;
  dispatches = 0;
  readonly origin: SourceOrigin;

  readonly #kind: SourceKind;
  readonly #core: Scheduler;
  readonly #options: SourceOptions;
  readonly #subscriber: Subscriber<T>;
  #attachment: Attachment<T> | undefined = undefined;
  /** What it keeps, and disposes of. */
  #things: Disposable[] | undefined = undefined;
  #value: T | undefined = undefined;
  #further: T[] | undefined = undefined;
  #nextFurther = 0;
  #end: { readonly error: unknown } | 'complete' | undefined = undefined;
  #limit: RateLimit | undefined = undefined;
  /** Whether it is pending but not in the queue, because its rate limit holds it back. */
  #held = false;

  constructor(core: Scheduler, kind: SourceKind, options: SourceOptions, subscriber: Subscriber<T>) {
    super('SDRX_SOURCE', RESOURCE);
    const { priority = 0 } = options;
    this.#core = core;
    this.#options = options;
    this.#subscriber = subscriber;
    this.#kind = kind;
    this.origin = kind.origin;
    this.priority = typeof priority === 'number' ? priority : 0;
  }

  /** Adds the source to the loop. */
  begin(attachment: Attachment<T>): void {
    const { priority, ratelimit } = this.#options;
    this.#attachment = attachment;
    this.#core.add(this);
    // Of exit sources none may be held back: the loop would be gone when the time is over.
    if (ratelimit !== undefined && this.origin !== 'exit') this.#limit = new RateLimit(this.#core, this, ratelimit);
    if (typeof priority === 'object') this.follow(priority, (value) => this.#reprioritize(value));
  }

  get prepares(): boolean {
    return this.#options.prepare !== undefined;
  }

  prepare(): void {
    const { prepare } = this.#options;
    if (prepare !== undefined) this.call(prepare);
  }

  /** Calls what is a user's; its error ends the source. */
  call(callback: () => void): void {
    this.runInAsyncScope(this.#attempt, this, callback);
  }

  get suspended(): boolean {
    return this.#limit?.reached === true;
  }

  pend(value: T): void {
    this.#value = value;
    this.#enqueue();
  }

  pendAlso(value: T): void {
    if (this.pending) {
      this.#further ??= [];
      this.#further.push(value);
    } else {
      this.pend(value);
    }
  }

  pendError(error: unknown): void {
    this.#pendEnd({ error });
  }

  pendComplete(): void {
    this.#pendEnd('complete');
  }

  withdraw(): void {
    if (this.#end !== undefined) return;
    this.#held = false;
    this.#core.dequeue(this);
  }

  get closed(): boolean {
    return this.#subscriber.closed;
  }

  get pending(): boolean {
    return this.bucket !== undefined || this.#held;
  }

  describe(): SourceState {
    return {
      kind: this.#kind.name,
      description: this.#options.description,
      priority: this.priority,
      pending: this.pending,
      dispatches: this.dispatches,
      suspendedUntil: this.#limit?.until,
    };
  }

  admit(): boolean {
    return this.#limit === undefined || this.#end !== undefined || this.#limit.admit();
  }

  dispatch(): void {
    this.runInAsyncScope(this.#deliver, this);
  }

  #deliver(): void {
    if (this.#end !== undefined) {
      if (this.#end === 'complete') this.#subscriber.complete();
      else this.#subscriber.error(this.#end.error);
      return;
    }
    const value = this.#value as T;
    this.#value = undefined;
    if (this.#further !== undefined) this.#pendNext(this.#further);
    const attachment = this.#attachment;
    this.#subscriber.next(value);
    attachment?.dispatched?.(value);
  }

  /** Calls `next` with each value of an option that is an Observable, as long as the source is there. */
  follow<V>(option: Observable<V>, next: (value: V) => void): void {
    const subscription = option.subscribe({
      next: (value) => {
        try {
          next(value);
        } catch (error) {
          this.pendError(error);
        }
      },
      error: (error) => this.pendError(error),
    });
    this.#subscriber.add(subscription);
  }

  suspend(): void {
    this.#held = true;
    this.#attachment?.online?.(false);
  }

  resume(): void {
    this.#attachment?.online?.(true);
    if (!this.#held) return;
    this.#held = false;
    this.#core.restore(this);
  }

  complete(): void {
    this.runInAsyncScope(this.#subscriber.complete, this.#subscriber);
  }

  use<D extends Disposable>(thing: D): D {
    this.#things ??= [];
    this.#things.push(thing);
    return thing;
  }

  /** Disposes of what it keeps; all of it, whatever one fails with. */
  release(): void {
    const thing = this.#things?.pop();
    if (thing === undefined) return;
    try {
      thing[Symbol.dispose]();
    } finally {
      this.release();
    }
  }

  fail(error: unknown): void {
    this.runInAsyncScope(this.#subscriber.error, this.#subscriber, error);
  }

  unhandled(error: unknown): void {
    endByUnhandled(this.#core, this.#options, error);
  }

  #attempt(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.#subscriber.error(error);
    }
  }

  /** Removes the source from the loop. For RxJS, when the subscription ends. */
  unsubscribe(): void {
    const attachment = this.#attachment;
    // Whoever keeps the subscription keeps the source, which is not to keep more.
    this.#attachment = this.#value = this.#further = undefined;
    this.#core.delete(this);
    this.#limit?.[Symbol.dispose]();
    this.emitDestroy();
    try {
      attachment?.detach?.();
    } finally {
      this.release();
    }
  }

  #pendEnd(end: { readonly error: unknown } | 'complete'): void {
    this.#end ??= end;
    this.#held = false;
    this.#core.enqueue(this);
  }

  #enqueue(): void {
    if (this.closed) return;
    if (this.suspended) {
      this.#held = true;
      this.#core.hold(this);
    } else {
      this.#core.enqueue(this);
    }
  }

  /** Takes the next of several values. Not by shift(), which moves all the others of a long array. */
  #pendNext(further: readonly T[]): void {
    this.pend(further[this.#nextFurther++] as T);
    if (this.#nextFurther < further.length) return;
    this.#further = undefined;
    this.#nextFurther = 0;
  }

  #reprioritize(priority: number): void {
    checkPriority(priority);
    this.#core.reprioritize(this, priority);
  }
}
