import type { ChildExit, ChildExitOptions, ChildOptions } from '@sdrx/event';
import { VirtualLoop } from '@sdrx/event/testing';
import { type ChildChange, ENOMEM, SystemError } from '@sdrx/linux';
import { type Observable, throwError } from 'rxjs';

/** A virtual loop that can be out of memory for watching children. */
export class RefusingLoop extends VirtualLoop {
  /** How often it is. */
  refusals = 0;
  /** When it was last, in milliseconds. */
  refusedAt = Number.NEGATIVE_INFINITY;
  /** The children that could not be watched when that was tried last. */
  readonly unwatched = new Set<number>();
  /** Those that could not be watched when that was tried first, or again. */
  readonly refused = new Set<number>();

  override child(which: number, options?: ChildExitOptions): Observable<ChildExit>;
  override child(which: number, options?: ChildOptions): Observable<ChildChange>;
  override child(which: number, options?: ChildOptions): Observable<ChildChange> {
    if (this.refusals === 0) {
      this.unwatched.delete(which);
      return super.child(which, options);
    }
    this.refusals--;
    this.refusedAt = this.now();
    this.unwatched.add(which);
    this.refused.add(which);
    return throwError(() => new SystemError(ENOMEM, 'epoll_ctl', `${which}`));
  }
}
