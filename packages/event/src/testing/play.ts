import { checkMethods } from '@sdrx/linux';
import {
  type CompleteNotification,
  concatMap,
  defaultIfEmpty,
  defer,
  dematerialize,
  from,
  map,
  type Observable,
  type ObservableNotification,
} from 'rxjs';
import { type Marble, marbles } from './marbles.js';
import type { VirtualLoop } from './virtual-loop.js';

const COMPLETE: CompleteNotification = { kind: 'C' };

/**
 * Plays a marble diagram in the time of a virtual loop, to everyone who subscribes from the begin: a source for a program under
 * test, or what happens to it. Without an end it goes on until that of the loop.
 * @param values what the letters stand for; without them they are themselves
 * @param error what `#` stands for, 'error' by default
 * @throws TypeError for what is no diagram
 * @example
 * // A reload after a minute, and the end a second later.
 * play(loop, '1m r 999ms t', { r: 'SIGHUP', t: 'SIGTERM' }).subscribe((signal) => loop.send(signal));
 */
export function play<const T = string>(
  loop: VirtualLoop,
  diagram: string,
  values?: Readonly<Record<string, T>>,
  error?: unknown,
): Observable<T> {
  checkMethods('loop', loop, 'a VirtualLoop', 'time', 'now');
  const all = marbles(diagram, values, error);
  const hasEnd = all.some(({ kind }) => kind !== 'next');
  const notification = (begin: number, marble: Marble<T>) =>
    loop
      .time({ at: begin + marble.at, accuracy: 0, description: `'${diagram}'` })
      .pipe(map(() => notificationOf(marble)));
  const end = () => loop.exiting({ description: `'${diagram}'` }).pipe(map(() => COMPLETE));
  return defer(() => {
    const begin = loop.now();
    return from(hasEnd ? all : [...all, undefined]).pipe(
      concatMap((marble) =>
        (marble === undefined ? end() : notification(begin, marble)).pipe(defaultIfEmpty(COMPLETE)),
      ),
      dematerialize(),
    );
  });
}

function notificationOf<T>(marble: Marble<T>): ObservableNotification<T> {
  if (marble.kind === 'next') return { kind: 'N', value: marble.value };
  return marble.kind === 'error' ? { kind: 'E', error: marble.error } : { kind: 'C' };
}
