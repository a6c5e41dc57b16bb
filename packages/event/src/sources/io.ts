import { EPOLLIN } from '@sdrx/linux';
import type { Observable } from 'rxjs';
import type { LoopCore } from '../loop-core.js';
import type { SourceOptions } from '../source.js';

export interface IoOptions extends SourceOptions {
  /** What to wait for, an EPOLL* mask of epoll_ctl(2); EPOLLIN by default. */
  readonly events?: number;
}

export interface IoEvent {
  readonly fd: number;
  /** What is ready, an EPOLL* mask. */
  readonly revents: number;
}

/**
 * Becomes ready when `fd` has one of `events`; level-triggered unless `events` has EPOLLET. The fd stays the caller's,
 * and the subscription ends before it is closed, or right after. sd_event_add_io(3), epoll_ctl(2).
 *
 * Fails with EPERM for a regular file, EBADF.
 */
export function io(core: LoopCore, fd: number, { events = EPOLLIN, ...options }: IoOptions = {}): Observable<IoEvent> {
  return core.source<IoEvent>('kernel', options, (source) => {
    let seen = 0;
    const watch = core.watcher.watch(fd, events, (revents) => {
      // An edge is told once, so what is pending already must not be forgotten for what comes now.
      seen = source.bucket === undefined ? revents : seen | revents;
      source.pend({ fd, revents: seen });
    });
    return { detach: () => watch[Symbol.dispose]() };
  });
}
