import type { EventLoop } from '@sdrx/event';
import { ETIMEDOUT, groupExists, SystemError, userExists } from '@sdrx/linux';
import { Observable } from 'rxjs';

/** How much of the time that a call may take it waits for the user database: there is something to do with the answer. */
const SHARE = 0.3;

/** How many names and ids are asked for at a time, each in two threads of the four that Node has for all of a process. */
const AT_A_TIME = 2;

/** Whether a user or a group has a name or an id. */
export type Ask = (key: string | number) => Promise<boolean>;

/** Of the user and the group database of the system. */
async function isTaken(key: string | number): Promise<boolean> {
  const [user, group] = await Promise.all([userExists(key), groupExists(key)]);
  return user || group;
}

/**
 * Asks the system's user database, whose services may take long to answer, or never do: that costs those only who ask, after a
 * while an error.
 */
export class NameLookups {
  readonly #limit: number;
  readonly #ask: Ask;
  readonly #waiting: (() => void)[] = [];
  #asking = 0;

  /** @param callTime how long a call may take, in milliseconds */
  constructor(callTime: number, ask: Ask = isTaken) {
    this.#limit = SHARE * callTime;
    this.#ask = ask;
  }

  /** Whether something is not answered yet. Node does not end while it is so. */
  get busy(): boolean {
    return this.#asking > 0;
  }

  /**
   * Emits whether a user or a group has a name or an id, as soon as that is known. Fails with ETIMEDOUT if it takes too long,
   * and as `userExists`.
   */
  isTaken(loop: EventLoop, key: string | number): Observable<boolean> {
    return new Observable((subscriber) => {
      const late = () => subscriber.error(new SystemError(ETIMEDOUT, 'getpwnam_r', String(key)));
      const fail = (error: unknown) => subscriber.error(error);
      const begin = () => {
        this.#asking++;
        this.#ask(key)
          .finally(() => {
            this.#asking--;
            this.#waiting.shift()?.();
          })
          .then((taken) => {
            subscriber.next(taken);
            subscriber.complete();
          }, fail);
      };
      subscriber.add(
        loop.time({ after: this.#limit, description: 'user database' }).subscribe({ next: late, error: fail }),
      );
      if (this.#asking < AT_A_TIME) {
        begin();
        return;
      }
      this.#waiting.push(begin);
      subscriber.add(() => {
        const index = this.#waiting.indexOf(begin);
        if (index >= 0) this.#waiting.splice(index, 1);
      });
    });
  }
}
