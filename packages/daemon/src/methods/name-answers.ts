import type { EventLoop } from '@sdrx/event';
import { EAGAIN } from '@sdrx/linux';
import { systemFailure } from '@sdrx/varlink';
import { catchError, concatMap, defer, type Observable, of, tap, throwError } from 'rxjs';
import type { NameLookups } from '../user/name-lookups.js';

/** How many questions one call may have. Each place for a range that turns out to be taken means another one. */
const ROUNDS = 150;

/** What is not known yet of the user database. */
class OpenQuestion {
  constructor(readonly key: string | number) {}
}

/**
 * What one call knows of the user database. To ask takes time, which nobody may spend with the registry's lock held: so what
 * needs an answer that is not there stops, and is done once more from its begin with the answer.
 */
export class NameAnswers {
  readonly #loop: EventLoop;
  readonly #lookups: NameLookups;
  readonly #taken = new Map<string | number, boolean>();

  constructor(loop: EventLoop, lookups: NameLookups) {
    this.#loop = loop;
    this.#lookups = lookups;
  }

  /** Whether a user or a group has this name or id. Throws, for `answering`, if that is not known yet. */
  isTaken(key: string | number): boolean {
    const taken = this.#taken.get(key);
    if (taken === undefined) throw new OpenQuestion(key);
    return taken;
  }

  /**
   * Asks all that a choice needs, before anything is decided: errors of the choice do not count. Emits once that is known.
   * @param choose uses `isTaken`
   */
  prepare(choose: () => unknown): Observable<unknown> {
    return this.answering(() => {
      try {
        choose();
      } catch (error) {
        if (error instanceof OpenQuestion) throw error;
      }
      return of(undefined);
    });
  }

  /** Does something that uses `isTaken`, and must not have had an effect when that throws. Emits what it emits. */
  answering<T>(attempt: () => Observable<T>, rounds = ROUNDS): Observable<T> {
    return defer(attempt).pipe(
      catchError((error: unknown) => {
        if (!(error instanceof OpenQuestion)) return throwError(() => error);
        if (rounds === 0) return throwError(() => systemFailure(EAGAIN));
        return this.#find(error.key).pipe(concatMap(() => this.answering(attempt, rounds - 1)));
      }),
    );
  }

  #find(key: string | number): Observable<unknown> {
    if (this.#taken.has(key)) return of(undefined);
    return this.#lookups.isTaken(this.#loop, key).pipe(tap((taken) => this.#taken.set(key, taken)));
  }
}
