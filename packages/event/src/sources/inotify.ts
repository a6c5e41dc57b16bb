import {
  checkFd,
  checkMask,
  checkText,
  IN_ALL_EVENTS,
  IN_IGNORED,
  IN_Q_OVERFLOW,
  IN_UNMOUNT,
  type InotifyRecord,
} from '@sdrx/linux';
import type { Observable } from 'rxjs';
import type { LoopCore } from '../loop-core.js';
import type { SourceOptions } from '../source.js';

export interface InotifyOptions extends SourceOptions {
  /** What to wait for, an IN_* mask of inotify(7); IN_ALL_EVENTS by default. */
  readonly mask?: number;
}

/** What happened to a file. */
export interface InotifyEvent {
  /** What happened, an IN_* mask. */
  readonly mask: number;
  /** The same for the two events of a rename, else 0. */
  readonly cookie: number;
  /** The file within the watched directory; empty for the watched file itself. */
  readonly name: string;
}

/** Comes unasked, and concerns every source. */
const ALWAYS = IN_IGNORED | IN_Q_OVERFLOW | IN_UNMOUNT;

/** `EventLoop.inotify`, which tells what users need to know. */
export function inotify(
  core: LoopCore,
  which: string | number,
  { mask = IN_ALL_EVENTS, ...options }: InotifyOptions = {},
): Observable<InotifyEvent> {
  if (typeof which === 'number') checkFd(which, 'which');
  else checkText('which', which);
  checkMask('mask', mask);
  const path = typeof which === 'number' ? `/proc/self/fd/${which}` : which;
  return core.source<InotifyEvent>('kernel', options, (source) => {
    const detach = core.inotify.listen(path, mask, core.watcher, ({ mask: happened, cookie, name }: InotifyRecord) => {
      // Others may have asked the kernel for more about the same inode.
      if ((happened & (mask | ALWAYS)) !== 0) source.pendAlso({ mask: happened, cookie, name });
    });
    const dispatched = (event: InotifyEvent): void => {
      if ((event.mask & IN_IGNORED) !== 0) source.complete();
    };
    return { detach, dispatched };
  });
}
