import { checkMethods } from '@sdrx/linux';
import { Observable } from 'rxjs';
import type { EventLoop } from '../loop.js';
import {
  checkProgram,
  type Program,
  type SuperviseOptions,
  SuperviseSettings,
} from '../supervise/supervise-options.js';
import { Supervision } from '../supervise/supervision.js';
import type { SupervisionEvent } from '../supervise/supervision-event.js';

/**
 * Keeps a program running while subscribed to, from when the loop runs: tells of its start, its lines, its end, and when it is
 * started again. The last event is `stopped`, `done` or `gave-up`; then it completes. To unsubscribe ends it at once, by SIGKILL;
 * `stop.on` is the way to let it finish. It also ends when the loop does. When this process is killed it goes on, unless the
 * program has a `parentDeathSignal`.
 *
 * Each subscription is a program of its own.
 * Fails with what the function throws, TypeError and RangeError for a program that `spawn` does not take, EPERM for one that took
 * another user's identity and is to be stopped, ENOMEM and ENOSPC when it can't be watched (epoll_ctl(2)), ESTALE. What it can't be
 * started for, such as ENOENT or EAGAIN, is an `ended` of the cause `spawn-failed`, after which it is tried again.
 * @param program or what makes one for each start, the first of which is attempt 1
 * @throws TypeError and RangeError for options that can't be
 * @example
 * const on = merge(loop.signal('SIGTERM'), loop.signal('SIGINT'));
 * const events = supervise(loop, { file: 'sleep', args: ['1'] }, { stop: { on } });
 * events.subscribe((event) => console.log(describeSupervision(event)));
 */
export function supervise(
  loop: EventLoop,
  program: Program | ((attempt: number) => Program),
  options: SuperviseOptions = {},
): Observable<SupervisionEvent> {
  checkMethods('loop', loop, 'an EventLoop', 'io', 'time', 'defer', 'now');
  if (typeof program !== 'function') checkProgram(program);
  const settings = new SuperviseSettings(options);
  return new Observable((subscriber) => {
    new Supervision(loop, program, settings, subscriber);
  });
}
