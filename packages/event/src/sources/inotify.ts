import {
  checkFd,
  checkMask,
  EBADF,
  Fd,
  IN_ALL_EVENTS,
  IN_DONT_FOLLOW,
  IN_IGNORED,
  IN_MASK_ADD,
  IN_ONESHOT,
  IN_Q_OVERFLOW,
  IN_UNMOUNT,
  type InotifyRecord,
  isOpen,
  SystemError,
  wrongKind,
} from '@sdrx/linux';
import type { Observable } from 'rxjs';
import type { SourceKind } from '../core/dispatchable.js';
import type { Scheduler } from '../core/scheduler.js';
import type { SourceOptions } from '../core/source.js';
import { sourceOf } from '../core/source-observable.js';

export interface InotifyOptions extends SourceOptions {
  /**
   * What to wait for, an IN_* mask of inotify(7), with at least one event; IN_ALL_EVENTS by default. Flags are of this source
   * alone: with IN_ONESHOT it completes after its first event, and with IN_EXCL_UNLINK it hears nothing of files that were
   * removed, whatever others of the same file ask for. With IN_MASK_CREATE it fails if another one has the file already.
   */
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
  /** The bytes of a name that is not UTF-8, of which `name` has U+FFFD in the place of those that are not; else absent. */
  readonly nameBytes?: Buffer;
}

/** A file by its path, as bytes if it is not UTF-8, or by a descriptor of it, which may be closed once it is subscribed to. */
export type InotifyTarget = string | Uint8Array | Fd | number;

/** Comes unasked, and concerns every source. */
const ALWAYS = IN_IGNORED | IN_Q_OVERFLOW | IN_UNMOUNT;

const INOTIFY: SourceKind = { name: 'inotify', origin: 'kernel' };

/** `EventLoop.inotify`, which tells what users need to know. */
export function inotify(
  core: Scheduler,
  which: InotifyTarget,
  { mask = IN_ALL_EVENTS, ...options }: InotifyOptions = {},
): Observable<InotifyEvent> {
  requireTarget(which);
  requireMask(mask);
  const wanted = (mask & IN_ALL_EVENTS) | ALWAYS;
  const once = (mask & IN_ONESHOT) !== 0;
  return sourceOf<InotifyEvent>(core, INOTIFY, options, (source) => {
    let done = false;
    const [path, flags] = pathOf(which, mask);
    const detach = core.kernel.inotify(path, flags, ({ watch, ...event }: InotifyRecord) => {
      // Others may have asked the kernel for more about the same inode.
      if ((event.mask & wanted) === 0 || done) return;
      done = once;
      source.pendAlso(event);
    });
    const dispatched = (event: InotifyEvent): void => {
      if (once || (event.mask & IN_IGNORED) !== 0) source.complete();
    };
    return { detach, dispatched };
  });
}

function requireTarget(which: InotifyTarget): void {
  if (typeof which === 'number') checkFd(which, 'which');
  else if (typeof which !== 'string' && !(which instanceof Uint8Array) && !(which instanceof Fd)) {
    throw wrongKind('which', "a path, or a descriptor's number or Fd", which);
  }
}

/** @throws TypeError and RangeError for a mask that is none, or that asks for nothing */
function requireMask(mask: number): void {
  checkMask('mask', mask);
  if ((mask & (IN_ALL_EVENTS | ALWAYS)) === 0) {
    throw new RangeError('`mask` must have at least one event, as of IN_ALL_EVENTS');
  }
  if ((mask & IN_MASK_ADD) !== 0) {
    throw new RangeError('`mask` has IN_MASK_ADD, but each source has a mask of its own: subscribe to another one');
  }
}

/** The path to watch, and the mask for it. @throws EBADF */
function pathOf(which: InotifyTarget, mask: number): [path: string | Uint8Array, mask: number] {
  if (typeof which === 'string' || which instanceof Uint8Array) return [which, mask];
  const fd = which instanceof Fd ? which.number : which;
  if (fd < 0 || !isOpen(fd)) throw new SystemError(EBADF, 'inotify_add_watch', `${fd}`);
  // The link is only how the descriptor is named, and must be followed.
  return [`/proc/self/fd/${fd}`, mask & ~IN_DONT_FOLLOW];
}
