import { Deadlines } from './deadlines.js';
import type { Refused } from './user.js';

/** How many refusals of one user are told at once, each second. */
const PROMPT = 8;

const SECOND = 1000;

/** How long a client waits to be told, in milliseconds. */
const DELAY = 5000;

/** How many of one user wait, and of all. */
const MOST = 1024;
const MOST_IN_ALL = 4096;

/**
 * Where refused connections wait to be told so, if their user has been refused many a moment ago: who tries again at each refusal
 * would cost as much as one who is served, and waits instead. Of one who has so many connections that they find no place here,
 * the one that has waited longest is told.
 */
export class Tarpit implements Disposable {
  readonly #tell: (refused: Refused) => void;
  /** In the order they came. */
  readonly #waiting = new Set<Refused>();
  /** How often each user was refused in the second that began with the first time. */
  readonly #counts = new Map<number, number>();
  readonly #seconds = new Deadlines<number>(SECOND, (uid) => this.#counts.delete(uid));
  readonly #deadlines = new Deadlines<Refused>(DELAY, (refused) => this.#release(refused));

  /** @param tell is called for each connection that was added, once; it closes the descriptor */
  constructor(tell: (refused: Refused) => void) {
    this.#tell = tell;
  }

  /** Takes over a connection. */
  add(refused: Refused): void {
    const { user } = refused;
    if (this.#isPrompt(user.uid)) {
      this.#tell(refused);
      return;
    }
    this.#waiting.add(refused);
    user.refused.add(refused);
    this.#deadlines.begin(refused);
    if (user.refused.size <= MOST && this.#waiting.size <= MOST_IN_ALL) return;
    const [oldest = refused] = user.refused;
    this.#release(oldest);
  }

  /** Tells all. */
  empty(): void {
    for (const refused of this.#waiting) this.#release(refused);
  }

  [Symbol.dispose](): void {
    this.empty();
    this.#seconds[Symbol.dispose]();
    this.#deadlines[Symbol.dispose]();
  }

  #isPrompt(uid: number): boolean {
    const count = this.#counts.get(uid) ?? 0;
    this.#counts.set(uid, count + 1);
    if (count === 0) this.#seconds.begin(uid);
    return count < PROMPT;
  }

  #release(refused: Refused): void {
    this.#waiting.delete(refused);
    refused.user.refused.delete(refused);
    this.#deadlines.end(refused);
    this.#tell(refused);
  }
}
