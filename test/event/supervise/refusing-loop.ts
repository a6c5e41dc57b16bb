import type { IoEvent, IoOptions } from '@sdrx/event';
import { VirtualLoop } from '@sdrx/event/testing';
import { ENOMEM, type Fd, SystemError } from '@sdrx/linux';
import { defer, type Observable } from 'rxjs';

/** A virtual loop that can be out of memory for watching descriptors. */
export class RefusingLoop extends VirtualLoop {
  /** How often it is. */
  refusals = 0;
  /** Told whose descriptor could not be watched, and why. */
  refused: (description: string | undefined, error: SystemError) => void = () => {};

  override io(fd: number | Fd, options: IoOptions = {}): Observable<IoEvent> {
    return defer(() => {
      if (this.refusals === 0) return super.io(fd, options);
      this.refusals--;
      const error = new SystemError(ENOMEM, 'epoll_ctl', String(options.description));
      this.refused(options.description, error);
      throw error;
    });
  }
}
