import { Observable, type Observer, type Operator, Subscriber, type Subscription } from 'rxjs';
import type { LoopCore } from './loop-core.js';
import type { Pending } from './pending.js';

/** What every source can be given. */
export interface SourceOptions {
  /** Lower runs first; any integer, 0 by default. sd_event_source_set_priority(3). */
  readonly priority?: number;
  /** What the source is for, in the messages of errors. sd_event_source_set_description(3). */
  readonly description?: string;
  /**
   * What an error thrown by an observer does: `false` (the default) surfaces it as Node's `uncaughtException`, `true` ends
   * the loop with code 1, a number with that code. sd_event_source_set_exit_on_failure(3).
   */
  readonly exitOnFailure?: boolean | number;
}

/** When a source of this kind can become pending, which decides how the loop has to look for it. */
export type SourceKind = 'kernel' | 'defer' | 'post' | 'exit';

/** What the loop needs to know of a source, whatever its values. */
export interface Dispatchable extends Pending {
  readonly kind: SourceKind;
  /** Delivers the value that it is pending with; the loop has taken it out of its queue. */
  dispatch(): void;
  complete(): void;
}

/**
 * One subscription to a source: it becomes pending with a value, waits in the loop's queue for its turn, and is then
 * dispatched to its subscriber.
 */
export class Source<T> implements Dispatchable {
  readonly priority: number;
  bucket: Pending['bucket'] = undefined;
  previous: Pending | undefined = undefined;
  next: Pending | undefined = undefined;

  readonly #core: LoopCore;
  readonly #subscriber: Subscriber<T>;
  #value: T | undefined;
  #further: T[] = [];
  #next = 0;
  #end: { readonly error: unknown } | 'complete' | undefined;

  /** Runs after each dispatch of a value, also when the observer threw or unsubscribed. */
  dispatched: ((value: T) => void) | undefined;

  constructor(
    core: LoopCore,
    readonly kind: SourceKind,
    readonly options: SourceOptions,
    subscriber: Subscriber<T>,
  ) {
    this.#core = core;
    this.#subscriber = subscriber;
    this.priority = options.priority ?? 0;
  }

  /** Makes it pending; while it is, a newer value replaces the older. */
  pend(value: T): void {
    this.#value = value;
    this.#core.enqueue(this);
  }

  /** Makes it pending once more for `value`: every value is dispatched, in order. */
  pendAlso(value: T): void {
    if (this.bucket === undefined) this.pend(value);
    else this.#further.push(value);
  }

  /** Makes it pending for its end: by an error if one is given, else complete. Values not yet dispatched are dropped. */
  pendEnd(error?: unknown): void {
    this.#end = error === undefined ? 'complete' : { error };
    this.#core.enqueue(this);
  }

  dispatch(): void {
    if (this.#end !== undefined) {
      if (this.#end === 'complete') this.#subscriber.complete();
      else this.#subscriber.error(this.#end.error);
      return;
    }
    const value = this.#value as T;
    this.#value = undefined;
    if (this.#further.length > 0) this.#pendNext();
    this.#subscriber.next(value);
    this.dispatched?.(value);
  }

  /** Takes the next of several values. Not by shift(), which moves all the others of a long array. */
  #pendNext(): void {
    this.pend(this.#further[this.#next++] as T);
    if (this.#next < this.#further.length) return;
    this.#further = [];
    this.#next = 0;
  }

  /** Ends the subscription. */
  complete(): void {
    this.#subscriber.complete();
  }
}

/** What `subscribe` takes. */
type ObserverOrNext<T> = Partial<Observer<T>> | ((value: T) => void) | null;

/**
 * An Observable that, with all that is piped from it, keeps the loop's promise about errors: one that an observer throws
 * or leaves unhandled ends the subscription and is handed to `fail`. RxJS on its own would report it and go on.
 */
export class SourceObservable<T> extends Observable<T> {
  readonly #fail: (error: unknown) => void;

  constructor(
    fail: (error: unknown) => void,
    subscribe?: (this: Observable<T>, subscriber: Subscriber<T>) => (() => void) | undefined,
  ) {
    super(subscribe);
    this.#fail = fail;
  }

  /** @deprecated Internal of RxJS: what is piped from this Observable is of the same class. */
  override lift<R>(operator?: Operator<T, R>): Observable<R> {
    const lifted = new SourceObservable<R>(this.#fail);
    lifted.source = this;
    lifted.operator = operator;
    return lifted;
  }

  override subscribe(observerOrNext?: ObserverOrNext<T>): Subscription;
  override subscribe(
    next?: ((value: T) => void) | null,
    error?: ((error: unknown) => void) | null,
    complete?: (() => void) | null,
  ): Subscription;
  override subscribe(
    observerOrNext?: ObserverOrNext<T>,
    error?: ((error: unknown) => void) | null,
    complete?: (() => void) | null,
  ): Subscription {
    // RxJS's own subscribers, those of operators, pass errors on by themselves.
    if (observerOrNext instanceof Subscriber) return super.subscribe(observerOrNext);
    const observer: Partial<Observer<T>> =
      typeof observerOrNext === 'object' && observerOrNext !== null
        ? observerOrNext
        : { ...(observerOrNext && { next: observerOrNext }), ...(error && { error }), ...(complete && { complete }) };
    let subscription: Subscription | undefined;
    let failed = false;
    const guard = (deliver: () => void): void => {
      try {
        deliver();
      } catch (thrown) {
        failed = true;
        subscription?.unsubscribe();
        this.#fail(thrown);
      }
    };
    subscription = super.subscribe({
      // Without `guard`, whose closure would cost an allocation an event.
      next: (value) => {
        if (failed) return;
        try {
          observer.next?.(value);
        } catch (thrown) {
          failed = true;
          subscription?.unsubscribe();
          this.#fail(thrown);
        }
      },
      error: (failure) => guard(() => (observer.error ? observer.error(failure) : this.#fail(failure))),
      complete: () => guard(() => observer.complete?.()),
    });
    if (failed) subscription.unsubscribe();
    return subscription;
  }
}
