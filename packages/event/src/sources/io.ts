import { checkBoolean, checkFd, checkMask, EPOLLIN, Fd } from '@sdrx/linux';
import { Observable } from 'rxjs';
import { isObservable } from '../core/check-options.js';
import type { SourceKind } from '../core/dispatchable.js';
import type { Scheduler } from '../core/scheduler.js';
import type { SourceOptions } from '../core/source.js';
import { sourceOf } from '../core/source-observable.js';

export interface IoOptions extends SourceOptions {
  /**
   * What to wait for, an EPOLL* mask of epoll_ctl(2); EPOLLIN by default. An Observable changes it with each value (until
   * the first only EPOLLERR and EPOLLHUP are told), forgets what is pending, and wakes an EPOLLONESHOT again.
   * sd_event_source_set_io_events(3).
   */
  readonly events?: number | Observable<number>;
  /**
   * Closes the fd at the end of the subscription, also of one that fails. There can be only one; a loop that has finished
   * takes over nothing. sd_event_source_set_io_fd_own(3).
   */
  readonly own?: boolean;
}

/** A descriptor that is ready. */
export interface IoEvent {
  /** The one that is watched. */
  readonly fd: number;
  /** What is ready, an EPOLL* mask. */
  readonly revents: number;
}

const IO: SourceKind = { name: 'io', origin: 'kernel' };

/** `EventLoop.io`, which tells what users need to know. */
export function io(
  core: Scheduler,
  fd: number | Fd,
  { events = EPOLLIN, own = false, ...options }: IoOptions = {},
): Observable<IoEvent> {
  if (!(fd instanceof Fd)) checkFd(fd);
  if (!isObservable(events)) checkMask('events', events);
  checkBoolean('own', own);
  return sourceOf<IoEvent>(core, IO, options, (source) => {
    const number = typeof fd === 'number' ? fd : fd.number;
    const owned = own ? core.kernel.takeFd(typeof fd === 'number' ? fd : fd.take()) : undefined;
    let seen = 0;
    const ready = (revents: number): void => {
      // An edge is told once, so what is pending already must not be forgotten for what comes now.
      seen = source.pending ? seen | revents : revents;
      source.pend({ fd: number, revents: seen });
    };
    try {
      const watch = core.kernel.watch(number, typeof events === 'number' ? events : 0, ready);
      if (events instanceof Observable) {
        source.follow(events, (mask) => {
          checkMask('events', mask);
          source.withdraw();
          watch.change(mask);
        });
      }
      const detach = (): void => {
        watch[Symbol.dispose]();
        owned?.[Symbol.dispose]();
      };
      // A level that nobody takes away would keep the loop awake while the rate limit holds the source back.
      return { detach, online: (on) => watch.pause(!on) };
    } catch (error) {
      owned?.[Symbol.dispose]();
      throw error;
    }
  });
}
