import type { RefusalReason } from './limits.js';

/** How often each user was refused something, for each reason, since that was told last: an attacker must not fill a log. */
export class Refusals {
  readonly #counts = new Map<number, Map<RefusalReason, number>>();

  get empty(): boolean {
    return this.#counts.size === 0;
  }

  add(uid: number, reason: RefusalReason): void {
    let reasons = this.#counts.get(uid);
    if (reasons === undefined) {
      reasons = new Map();
      this.#counts.set(uid, reasons);
    }
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }

  /** Forgets what it returns. */
  take(): { uid: number; reason: RefusalReason; count: number }[] {
    const all = [...this.#counts].flatMap(([uid, reasons]) =>
      [...reasons].map(([reason, count]) => ({ uid, reason, count })),
    );
    this.#counts.clear();
    return all;
  }
}
