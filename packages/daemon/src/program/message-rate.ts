/** How many kinds of messages are told apart. All further ones count as one. */
const KINDS = 256;

interface Window {
  /** Milliseconds, as all times here. */
  readonly end: number;
  passed: number;
  suppressed: number;
  /** The first one that was suppressed. */
  example: string;
}

/** Messages that were not let through. */
export interface Suppressed {
  readonly count: number;
  readonly example: string;
}

/**
 * Lets at most `burst` messages of one kind through within `interval` milliseconds, from the first one on, and counts the
 * others.
 */
export class MessageRate {
  readonly #windows = new Map<string, Window>();

  constructor(
    readonly interval: number,
    readonly burst: number,
  ) {}

  /** @returns whether this message may pass */
  take(kind: string, message: string, now: number): boolean {
    const window = this.#window(kind, now);
    if (window.passed < this.burst) {
      window.passed++;
      return true;
    }
    if (window.suppressed++ === 0) window.example = message;
    return false;
  }

  /** Forgets the windows that have ended. @returns what was suppressed in them, by kind */
  ended(now: number): Suppressed[] {
    const suppressed: Suppressed[] = [];
    for (const [kind, window] of this.#windows) {
      if (window.end > now) continue;
      this.#windows.delete(kind);
      if (window.suppressed > 0) suppressed.push({ count: window.suppressed, example: window.example });
    }
    return suppressed;
  }

  #window(kind: string, now: number): Window {
    const key = this.#windows.has(kind) || this.#windows.size < KINDS ? kind : '';
    const known = this.#windows.get(key);
    if (known !== undefined) return known;
    const window: Window = { end: now + this.interval, passed: 0, suppressed: 0, example: '' };
    this.#windows.set(key, window);
    return window;
  }
}
