import { readlinkSync } from 'node:fs';
import { dirname } from 'node:path/posix';
import {
  checkBoolean,
  checkMethods,
  checkNumber,
  checkObject,
  checkText,
  EINVAL,
  IN_ATTRIB,
  IN_CLOSE_WRITE,
  IN_CREATE,
  IN_DELETE,
  IN_DONT_FOLLOW,
  IN_MOVED_FROM,
  IN_MOVED_TO,
  IN_ONLYDIR,
  isSystemError,
  SystemError,
} from '@sdrx/linux';
import { map, merge, Observable, of, Subscription, switchMap } from 'rxjs';
import { checkPriority, isObservable } from '../core/check-options.js';
import type { SourceOptions } from '../core/source.js';
import type { EventLoop } from '../loop.js';
import type { InotifyEvent } from '../sources/inotify.js';

/** How long nothing must have changed, in milliseconds. */
const SETTLE = 50;

/** How many symbolic links may lead to a file. path_resolution(7) */
const MOST_LINKS = 40;

/** A name in a directory begins or ceases to stand for something, or that is made readable. */
const NAMES = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;

/** How a file is watched. */
export interface WatchFileOptions extends Pick<SourceOptions, 'priority'> {
  /**
   * How long nothing must have changed, in milliseconds, by default 50: what writes a file does several things to it, and it
   * is then told of once. With 0 each of them is told.
   */
  readonly settle?: number;
  /** Whether it also comes at once, when the file is watched: for who reads it for the first time then. By default false. */
  readonly immediately?: boolean;
}

/**
 * Comes when what is found at a path may have changed: a file there was written and closed, replaced by a rename, removed, made,
 * given another mode or owner; or a directory on the way to it was, or a symbolic link led elsewhere, as when Kubernetes changes
 * a ConfigMap. The path need not exist, now or in between. Of a directory it is told what happens to the names in it, and that
 * files in it were written.
 *
 * It says that something happened and nothing else: whoever reads the file then may find the same contents, or none. Every
 * directory on the way is watched, from `/` on. One that may not be read is left out. Not seen are writes by mmap(2), by
 * truncate(2) and by another machine, and something mounted on the way.
 *
 * Fails with EACCES when the directory of the file may not be read, and with ENOSPC, EMFILE and ESTALE as `EventLoop.inotify`.
 * inotify(7)
 * @param path of a file or directory; a relative one is looked up from where the process is now
 * @throws SystemError EINVAL for an empty path or one with a NUL
 * @example
 * watchFile(loop, '/etc/greeting').subscribe(() => console.log('look at it again'));
 */
export function watchFile(loop: EventLoop, path: string, options: WatchFileOptions = {}): Observable<void> {
  checkMethods('loop', loop, 'an EventLoop', 'inotify', 'time');
  checkText('path', path);
  checkObject('options', options);
  const { settle = SETTLE, immediately = false, priority = 0 } = options;
  checkNumber('settle', settle, 0);
  checkBoolean('immediately', immediately);
  if (!isObservable(priority)) checkPriority(priority);
  if (path === '' || path.includes('\0')) throw new SystemError(EINVAL, 'watchFile', path);

  const changes = changesOf(loop, path.startsWith('/') ? path : `${process.cwd()}/${path}`, priority);
  const quiet = () => loop.time({ after: settle, priority, description: `changes of ${path}` });
  const settled = settle === 0 ? changes : changes.pipe(switchMap(quiet));
  // What happens after it came at once must be told, so it comes last.
  return merge(settled, immediately ? of(undefined) : []).pipe(map(() => undefined));
}

/** Each change by itself, and some twice. */
function changesOf(
  loop: EventLoop,
  path: string,
  priority: NonNullable<SourceOptions['priority']>,
): Observable<unknown> {
  return new Observable((subscriber) => {
    let watches = new Subscription();
    subscriber.add(() => watches.unsubscribe());

    const watch = (where: string, mask: number, next: (event: InotifyEvent) => void): void => {
      const source = loop.inotify(where, { mask, priority, description: `watch of ${path}` });
      const complete = (): void => {
        if (loop.state === 'finished') subscriber.complete();
      };
      watches.add(source.subscribe({ next, complete, error }));
    };
    let refused: unknown;
    const error = (reason: unknown): void => {
      // Gone since it was looked at, which its directory tells of.
      if (isSystemError(reason, 'ENOENT', 'ENOTDIR')) return;
      if (isSystemError(reason, 'EACCES')) refused = reason;
      else subscriber.error(reason);
    };

    const look = (): void => {
      const former = watches;
      watches = new Subscription();
      for (const { directory, name } of lookups(path)) {
        refused = undefined;
        if (name === undefined) {
          // By itself, too: it may have another name elsewhere, or be mounted here.
          watch(directory, IN_CLOSE_WRITE | NAMES | IN_DONT_FOLLOW, ({ name: child }) => changed(child === ''));
          refused = undefined;
        } else {
          watch(directory, NAMES | IN_ATTRIB | IN_ONLYDIR, (event) => {
            // Without a name it concerns the directory itself, or events were lost.
            if (event.name === name || (event.name === '' && (event.mask & IN_ATTRIB) === 0)) changed(true);
          });
        }
      }
      // After the new ones, so that nothing is missed in between.
      former.unsubscribe();
      if (refused !== undefined) subscriber.error(refused);
    };
    const changed = (elsewhere: boolean): void => {
      if (elsewhere) look();
      subscriber.next(undefined);
    };
    look();
  });
}

/** A name that is looked up in a directory, or at the end, without one, what was found. */
interface Lookup {
  readonly directory: string;
  readonly name?: string;
}

/**
 * How the kernel finds a file, step by step as far as there is something. Each step is told before it is done: who watches
 * the directory by then is told if it would lead elsewhere later.
 */
function* lookups(path: string): Generator<Lookup> {
  let directory = '/';
  let links = 0;
  const left = path.split('/');
  for (let name = left.shift(); name !== undefined; name = left.shift()) {
    if (name === '' || name === '.') continue;
    if (name === '..') {
      directory = dirname(directory);
      continue;
    }
    yield { directory, name };
    const found = directory === '/' ? `/${name}` : `${directory}/${name}`;
    const target = targetOf(found);
    if (target === undefined) return;
    if (target === null) {
      directory = found;
      continue;
    }
    if (++links > MOST_LINKS) return;
    if (target.startsWith('/')) directory = '/';
    left.unshift(...target.split('/'));
  }
  yield { directory };
}

/** Where a link leads; null for what is none, undefined where nothing is, or can't be told. */
function targetOf(path: string): string | null | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (isSystemError(error, 'EINVAL')) return null;
    if (isSystemError(error)) return undefined;
    throw error;
  }
}
