import { checkNumber, checkObject } from '@sdrx/linux';

/** How long a program is not started again after it has ended. */
export interface BackoffOptions {
  /** The first delay, in milliseconds, by default 100; 0 for none ever. */
  readonly first?: number;
  /** The longest one, in milliseconds, by default 10,000. */
  readonly most?: number;
  /** How many times the one before each is, 1 or more, by default 2. */
  readonly factor?: number;
  /** The part by which each is made longer or shorter by chance, from 0, the default, to 1: so that many don't come at a time. */
  readonly jitter?: number;
  /** How long a program must have run to be stable, in milliseconds, by default 10,000: then the next delay is the first again. */
  readonly stableAfter?: number;
}

/** Delays that grow as long as a program ends too soon. */
export class Backoff {
  readonly #first: number;
  readonly #most: number;
  readonly #factor: number;
  readonly #jitter: number;
  readonly #stableAfter: number;
  #next: number;

  /** @throws TypeError and RangeError for options that can't be, also for a `first` above `most` */
  constructor(options: BackoffOptions = {}) {
    checkObject('backoff', options);
    const { first = 100, factor = 2, jitter = 0, stableAfter = 10_000 } = options;
    checkNumber('backoff.first', first, 0);
    const { most = Math.max(first, 10_000) } = options;
    checkNumber('backoff.most', most, first);
    checkNumber('backoff.factor', factor, 1);
    checkNumber('backoff.jitter', jitter, 0, 1);
    checkNumber('backoff.stableAfter', stableAfter, 0);
    this.#first = first;
    this.#most = most;
    this.#factor = factor;
    this.#jitter = jitter;
    this.#stableAfter = stableAfter;
    this.#next = first;
  }

  /** Whether a program that ran so long, in milliseconds, was stable. */
  isStable(lasted: number): boolean {
    checkNumber('lasted', lasted, 0);
    return lasted >= this.#stableAfter;
  }

  /** How long not to start a program, in milliseconds. @param lasted how long it ran, in milliseconds */
  next(lasted: number): number {
    if (this.isStable(lasted)) this.#next = this.#first;
    const delay = this.#next;
    this.#next = Math.min(delay * this.#factor, this.#most);
    return delay * (1 + this.#jitter * (2 * Math.random() - 1));
  }
}
