/** One subscription to a source: it becomes pending with values, which the loop dispatches to the subscriber in their turn. */
export interface SourceHandle<T> {
  /** Whether it waits for its turn. */
  readonly pending: boolean;
  /** Whether nobody listens any more. */
  readonly closed: boolean;
  /** It becomes pending with a value; while it is, a newer one replaces the older. */
  pend(value: T): void;
  /** It becomes pending once more for a value: every value is dispatched, in order. */
  pendAlso(value: T): void;
  /** It becomes pending for its end by an error. Values not yet dispatched are dropped. */
  pendError(error: unknown): void;
  /** It becomes pending for its end without one. Values not yet dispatched are dropped. */
  pendComplete(): void;
  /** It is pending no more, except for its end. */
  withdraw(): void;
  /** It ends at once, as after its last value was dispatched. */
  complete(): void;
  /**
   * Keeps what the source needs, until the subscription ends or could not begin: then it is disposed of, what came last first.
   * @returns the same thing
   */
  use<D extends Disposable>(thing: D): D;
}
