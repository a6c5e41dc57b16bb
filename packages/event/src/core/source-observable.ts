import { Observable, type Observer, type Operator, Subscriber, type Subscription } from 'rxjs';
import type { Attachment } from './attachment.js';
import { checkSourceOptions } from './check-options.js';
import type { SourceKind } from './dispatchable.js';
import type { Scheduler } from './scheduler.js';
import { type Attach, Source, type SourceClass, type SourceOptions } from './source.js';
import { surface } from './surface.js';
import { endByUnhandled, type Unhandled } from './unhandled.js';

/** What `subscribe` takes: an observer, or its functions one by one. */
type Arguments<T> = [
  observerOrNext?: Partial<Observer<T>> | ((value: T) => void) | null,
  error?: ((error: unknown) => void) | null,
  complete?: (() => void) | null,
];

/** The observer of those who do not look. One for all: there may be very many. */
const NOTHING: Partial<Observer<unknown>> = {};

/**
 * A cold Observable of a source: `attach` runs at subscription and sees to it that the source becomes pending; what it
 * returns runs at the end of the subscription and frees what it took. Subscribing fails with ESTALE once the loop
 * finished, ECHILD in a process that was forked from the loop's.
 */
export function sourceOf<T, O extends SourceOptions = SourceOptions>(
  scheduler: Scheduler,
  kind: SourceKind,
  options: O,
  attach: Attach<T, O>,
): Observable<T> {
  return sourceOfClass(Source<T>, scheduler, kind, options, attach);
}

/** As `sourceOf`, of a kind whose sources have a class of their own, so that each is one object with what it holds. */
export function sourceOfClass<T, O extends SourceOptions, S extends Source<T>>(
  sourceClass: SourceClass<T, S>,
  scheduler: Scheduler,
  kind: SourceKind,
  options: O,
  attach: Attach<T, O, S>,
): Observable<T> {
  checkSourceOptions(options);
  return new SourceObservable(sourceClass, scheduler, kind, options, attach);
}

/**
 * The Observable of a source. With all that is piped from it, it keeps the loop's promise about errors: one that an
 * observer throws or leaves unhandled ends the subscription, and surfaces or ends the loop, as the options say. RxJS on its
 * own would report it and go on.
 */
class SourceObservable<T, O extends SourceOptions, S extends Source<T>> extends Observable<T> implements Unhandled {
  readonly #class: SourceClass<T, S>;
  readonly #core: Scheduler;
  readonly #kind: SourceKind;
  readonly #options: O;
  readonly #attach: Attach<T, O, S>;

  constructor(sourceClass: SourceClass<T, S>, core: Scheduler, kind: SourceKind, options: O, attach: Attach<T, O, S>) {
    super();
    this.#class = sourceClass;
    this.#core = core;
    this.#kind = kind;
    this.#options = options;
    this.#attach = attach;
  }

  /** @deprecated Internal of RxJS: what is piped from this Observable keeps the promise, too. */
  override lift<R>(operator?: Operator<T, R>): Observable<R> {
    return new PipedObservable<R>(this, operator);
  }

  override subscribe(...args: Arguments<T>): Subscription {
    const [observer] = args;
    const subscriber = isSubscriber(observer) ? observer : new GuardedSubscriber<T>(this, args);
    try {
      this.#core.requireUsable(this.#options.description);
      const source = new this.#class(this.#core, this.#kind, this.#options, subscriber);
      source.begin(this.#attached(source));
      if (subscriber instanceof GuardedSubscriber) subscriber.hold(source);
      else subscriber.add(source);
      // An option that is an Observable may have disposed of the loop before the source was added to it.
      if (this.#core.state === 'finished') subscriber.complete();
    } catch (error) {
      subscriber.error(error);
    }
    return subscriber;
  }

  /** @throws what it can't begin with */
  #attached(source: S): Attachment<T> {
    try {
      return this.#attach(source, this.#options, this.#core);
    } catch (error) {
      source.release();
      throw error;
    }
  }

  unhandled(error: unknown): void {
    endByUnhandled(this.#core, this.#options, error);
  }
}

/** What operators made of the Observable of a source. */
class PipedObservable<T> extends Observable<T> {
  constructor(source: Observable<unknown>, operator: Operator<never, T> | undefined) {
    super();
    this.source = source;
    this.operator = operator;
  }

  /** @deprecated Internal of RxJS. */
  override lift<R>(operator?: Operator<T, R>): Observable<R> {
    return new PipedObservable<R>(this, operator);
  }

  override subscribe(...args: Arguments<T>): Subscription {
    const [observer] = args;
    return super.subscribe(isSubscriber(observer) ? observer : new GuardedSubscriber(rootOf(this), args));
  }
}

/** The source at the begin of a chain. Not handed on by `lift`, which RxJS's `publish` borrows for Observables of its own. */
function rootOf(piped: Observable<unknown>): Unhandled {
  let observable: Observable<unknown> | undefined = piped;
  while (observable !== undefined && !(observable instanceof SourceObservable)) observable = observable.source;
  return observable ?? { unhandled: surface };
}

/** As RxJS tells one, so that also that of another copy of RxJS ends its source. */
function isSubscriber<T>(observer: Arguments<T>[0]): observer is Subscriber<T> {
  return (
    observer instanceof Subscriber ||
    (typeof observer === 'object' &&
      observer !== null &&
      'add' in observer &&
      'remove' in observer &&
      'closed' in observer)
  );
}

/** The last subscriber of a chain. RxJS's own, those of operators, pass errors on by themselves. */
class GuardedSubscriber<T> extends Subscriber<T> {
  /** At first the Observable, then the source, which needs no Observable any more: of both there may be very many. */
  #root: Unhandled;
  readonly #observer: Partial<Observer<T>> | ((value: T) => void);
  #source: Source<T> | undefined = undefined;

  constructor(root: Unhandled, [observer, error, complete]: Arguments<T>) {
    super();
    this.#root = root;
    this.#observer =
      error || complete
        ? {
            ...(typeof observer === 'function' && { next: observer }),
            ...(error && { error }),
            ...(complete && { complete }),
          }
        : (observer ?? NOTHING);
  }

  /** Ends the source with the subscription. As `add`, which would take an array for each. */
  hold(source: Source<T>): void {
    this.#root = source;
    if (this.closed) source.unsubscribe();
    else this.#source = source;
  }

  override unsubscribe(): void {
    if (this.closed) return;
    const source = this.#source;
    this.#source = undefined;
    try {
      // First, as RxJS has it: what comes after may close what the source watches, or fail.
      source?.unsubscribe();
    } finally {
      super.unsubscribe();
    }
  }

  protected override _next(value: T): void {
    try {
      if (typeof this.#observer === 'function') this.#observer(value);
      else this.#observer.next?.(value);
    } catch (thrown) {
      this.#root.unhandled(thrown);
      this.#leave();
    }
  }

  protected override _error(error: unknown): void {
    const observer = this.#observer;
    this.#end(() => ('error' in observer && observer.error ? observer.error(error) : this.#root.unhandled(error)));
  }

  protected override _complete(): void {
    const observer = this.#observer;
    if (typeof observer === 'function') this.#leave();
    else this.#end(() => observer.complete?.());
  }

  #end(deliver: () => void): void {
    try {
      deliver();
    } catch (thrown) {
      this.#root.unhandled(thrown);
    }
    this.#leave();
  }

  /** Ends the subscription for the loop, which is not to hear of a teardown that fails. */
  #leave(): void {
    try {
      this.unsubscribe();
    } catch (error) {
      this.#root.unhandled(error);
    }
  }
}
