import type { Pending } from './pending.js';

/** Who can make a source pending, which decides how the loop has to look for it. */
export type SourceOrigin = 'kernel' | 'defer' | 'post' | 'exit';

/** What all sources of one kind have in common. */
export interface SourceKind {
  /** What it is called where sources are listed. */
  readonly name: string;
  readonly origin: SourceOrigin;
}

/** What the loop needs to know of a source, whatever its values. */
export interface Dispatchable extends Pending {
  readonly origin: SourceOrigin;
  /** Whether it has a `prepare`. */
  readonly prepares: boolean;
  /** How often it was dispatched. */
  dispatches: number;
  /** Its neighbours in the loop's list of all sources. */
  older: Dispatchable | undefined;
  newer: Dispatchable | undefined;
  /** Whether its rate limit holds it back. */
  readonly suspended: boolean;
  /** Counts a dispatch that is about to be. @returns whether the rate limit has room for it */
  admit(): boolean;
  /** Calls what is to be called before each wait; its error ends the source. */
  prepare(): void;
  /** Delivers the value that it is pending with; the loop has taken it out of its queue. */
  dispatch(): void;
  /** What there is to see of it. */
  describe(): SourceState;
  complete(): void;
  /** Ends it by an error. */
  fail(error: unknown): void;
}

/** What there is to see of a source. */
export interface SourceState {
  /** What it comes from: `io`, `time`, `signal`, … */
  readonly kind: string;
  /** What its options say it is for. */
  readonly description: string | undefined;
  /** Lower comes first. */
  readonly priority: number;
  /** Whether it waits for its turn, or for its rate limit to let it. */
  readonly pending: boolean;
  /** How often it was dispatched. */
  readonly dispatches: number;
  /**
   * Since when it has been pending, in milliseconds on the monotonic clock. This and the next two are there only while the loop
   * measures: with its option `slow`, or while it is traced.
   */
  readonly pendingSince?: number | undefined;
  /** How long its handler has taken, all times together, in milliseconds. */
  readonly time?: number;
  /** How long its handler has taken at most, in milliseconds. */
  readonly longest?: number;
  /** Until when its rate limit holds it back, in milliseconds on the monotonic clock; undefined if it does not. */
  readonly suspendedUntil: number | undefined;
}
