import type { ChildExit, ChildExitOptions, ChildOptions, IoEvent, IoOptions, SourceOptions } from '@sdrx/event';
import { VirtualLoop } from '@sdrx/event/testing';
import type { ChildChange, Fd, Signal, SignalInfo } from '@sdrx/linux';
import { defer, finalize, NEVER, type Observable } from 'rxjs';

/** A virtual loop that can be out of memory for watching descriptors and children, and knows to which signals somebody listens. */
export class RefusingLoop extends VirtualLoop {
  /** Asked before each watch. Throws what it fails with; false where nothing is of any account any more. */
  watches: () => boolean = () => true;
  readonly #signals = new Set<Signal>();

  /** Whether somebody listens to a signal, so that it has not its own action. */
  listensTo(signal: Signal): boolean {
    return this.#signals.has(signal);
  }

  override io(fd: number | Fd, options: IoOptions = {}): Observable<IoEvent> {
    return defer(() => {
      return this.watches() ? super.io(fd, options) : NEVER;
    });
  }

  override child(which: number, options?: ChildExitOptions): Observable<ChildExit>;
  override child(which: number, options?: ChildOptions): Observable<ChildChange>;
  override child(which: number, options?: ChildOptions): Observable<ChildChange> {
    return defer(() => {
      return this.watches() ? super.child(which, options) : NEVER;
    });
  }

  override signal(which: Signal, options?: SourceOptions): Observable<SignalInfo> {
    return defer(() => {
      this.#signals.add(which);
      return super.signal(which, options).pipe(finalize(() => this.#signals.delete(which)));
    });
  }
}
