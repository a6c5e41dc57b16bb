import {
  chmodSync,
  closeSync,
  constants,
  mkdirSync,
  openSync,
  renameSync,
  rmdirSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { EventLoop, type InotifyEvent } from '@sdrx/event';
import { type VirtualDirectory, type VirtualFile, VirtualLoop } from '@sdrx/event/testing';
import {
  IN_ALL_EVENTS,
  IN_ATTRIB,
  IN_CREATE,
  IN_DELETE_SELF,
  IN_EXCL_UNLINK,
  IN_MASK_CREATE,
  IN_MODIFY,
  IN_MOVED_TO,
  IN_ONLYDIR,
  isSystemError,
} from '@sdrx/linux';
import fc from 'fast-check';
import type { Subscription } from 'rxjs';
import t from 'tap';
import { Folder } from '../support/folder.js';

const NAMES = ['a', 'b', 'c', 'a/a', 'a/b'];
/** Not those of reading, of which a virtual directory knows nothing. */
const EVENTS = IN_ALL_EVENTS & ~0x11;
const MASKS = [EVENTS, EVENTS | IN_EXCL_UNLINK, EVENTS | IN_ONLYDIR, IN_CREATE | IN_DELETE_SELF | IN_MOVED_TO];
const FEW = [IN_ATTRIB, IN_MODIFY | IN_MASK_CREATE, IN_MODIFY | IN_EXCL_UNLINK | IN_MASK_CREATE];

/** What can be done in a directory, real or virtual. */
interface Place {
  readonly loop: EventLoop;
  readonly path: string;
  makeDirectory(path: string): unknown;
  open(path: string): { write(): void; close(): void };
  chmod(path: string): void;
  rename(from: string, to: string): void;
  remove(path: string): void;
}

class RealPlace implements Place {
  readonly loop = new EventLoop();

  constructor(readonly path: string) {}

  makeDirectory(path: string): void {
    mkdirSync(this.#at(path));
  }

  open(path: string): { write(): void; close(): void } {
    const fd = openSync(this.#at(path), constants.O_WRONLY | constants.O_CREAT, 0o600);
    return { write: () => writeSync(fd, 'x'), close: () => closeSync(fd) };
  }

  chmod(path: string): void {
    chmodSync(this.#at(path), 0o700);
  }

  rename(from: string, to: string): void {
    renameSync(this.#at(from), this.#at(to));
  }

  remove(path: string): void {
    const at = this.#at(path);
    if (statSync(at).isDirectory()) rmdirSync(at);
    else unlinkSync(at);
  }

  #at(path: string): string {
    return `${this.path}/${path}`;
  }
}

class VirtualPlace implements Place {
  readonly loop = new VirtualLoop();
  readonly path = '/place';
  readonly #directory: VirtualDirectory = this.loop.makeDirectory(this.path);

  makeDirectory(path: string): void {
    this.#directory.makeDirectory(path);
  }

  open(path: string): { write(): void; close(): void } {
    const file: VirtualFile = this.#directory.open(path);
    return { write: () => file.write(), close: () => file[Symbol.dispose]() };
  }

  chmod(path: string): void {
    this.#directory.chmod(path);
  }

  rename(from: string, to: string): void {
    this.#directory.rename(from, to);
  }

  remove(path: string): void {
    this.#directory.remove(path);
  }
}

const name = fc.constantFrom(...NAMES);
const step = fc.record({
  verb: fc.constantFrom(
    ...['mkdir', 'open', 'open', 'open', 'write', 'close', 'close', 'chmod', 'rename', 'rename', 'remove'],
    ...['watch', 'watch', 'watch', 'leave'],
  ),
  path: name,
  other: name,
  mask: fc.constantFrom(...MASKS, ...FEW),
  number: fc.nat(9),
});
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** What comes by one inotify instance. */
class Account {
  readonly lines: string[] = [];
  readonly #cookies: number[] = [];

  add(watch: number, { mask, name, cookie }: InotifyEvent): void {
    if (!this.#cookies.includes(cookie)) this.#cookies.push(cookie);
    this.lines.push(`${watch}: ${mask.toString(16)} ${name} ${cookie && this.#cookies.indexOf(cookie) + 1}`);
  }
}

/** What those who watch are told, and what fails. */
async function told(
  place: Place,
  steps: readonly Step[],
  run: (loop: EventLoop) => Promise<unknown>,
): Promise<string[]> {
  const failed: string[] = [];
  // In which order two inotify instances are told of one event is left to chance.
  const exclusive = new Account();
  const others = new Account();
  const files: { write(): void; close(): void }[] = [];
  const watches: Subscription[] = [];
  const watch = (path: string, mask: number): void => {
    const number = watches.length;
    const account = (mask & IN_EXCL_UNLINK) === 0 ? others : exclusive;
    watches.push(
      place.loop.inotify(`${place.path}/${path}`, { mask }).subscribe({
        next: (event) => account.add(number, event),
        error: ({ code }) => failed.push(`${number}: ${code}`),
      }),
    );
  };
  watch('', EVENTS);
  for (const { verb, path, other, mask, number } of steps) {
    try {
      if (verb === 'mkdir') place.makeDirectory(path);
      else if (verb === 'open') files.push(place.open(path));
      else if (verb === 'write') files[number % files.length]?.write();
      else if (verb === 'close') files.splice(number % (files.length || 1), 1)[0]?.close();
      else if (verb === 'chmod') place.chmod(path);
      else if (verb === 'rename') place.rename(path, other);
      else if (verb === 'remove') place.remove(path);
      else if (verb === 'watch') watch(path, mask);
      else watches[number % watches.length]?.unsubscribe();
    } catch (error) {
      if (!isSystemError(error)) throw error;
      failed.push(`${verb} ${path} ${error.code}`);
    }
  }
  for (const file of files) file.close();
  place.loop.defer({ priority: 1 }).subscribe(() => place.loop.exit());
  await run(place.loop);
  return [...failed, ...others.lines, ...exclusive.lines];
}

t.test('what happens in a virtual directory is told as Linux tells it', async (t) => {
  const same = fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), async (steps) => {
    using folder = new Folder();
    const expected = await told(new RealPlace(folder.path), steps, (loop) => loop.run());
    const virtual = new VirtualPlace();
    const seen = await told(virtual, steps, async (loop) => {
      const finished = loop.run();
      await virtual.loop.finish();
      return finished;
    });
    virtual.loop[Symbol.dispose]();
    if (seen.join('\n') !== expected.join('\n')) throw new Error([...seen, '', 'expected:', ...expected].join('\n'));
  });
  await t.resolves(fc.assert(same, { numRuns: 200 }));
});
