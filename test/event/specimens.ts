import { openSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import type { EventLoop, SourceOptions } from '@sdrx/event';
import { EPOLLET, EPOLLIN, EventFd, Fd, IN_CLOSE_WRITE, sigqueue, write } from '@sdrx/linux';
import type { Observable } from 'rxjs';
import { Folder } from '../support/folder.js';
import { openFds } from '../support/nothing-left.js';
import { runProgram } from '../support/run-program.js';

/** A source that can come any number of times, and what makes it come. */
export interface Specimen extends Disposable {
  source(loop: EventLoop, options?: SourceOptions): Observable<unknown>;
  /** Makes it come once; a source that comes by itself does. */
  provoke(loop: EventLoop): void;
}

const SIGNAL = 'SIGRTMIN+9';
const byItself = { provoke() {}, [Symbol.dispose]() {} };

/** One of each kind. All but `exiting`, which comes once, and `child`, which comes to one subscription alone. */
export const specimens: Readonly<Record<string, () => Specimen>> = {
  io: () => {
    const event = new EventFd();
    return {
      source: (loop, options) => loop.io(event.fd, { events: EPOLLIN | EPOLLET, ...options }),
      provoke: () => event.add(),
      [Symbol.dispose]: () => event[Symbol.dispose](),
    };
  },
  time: () => {
    const at = performance.now();
    return { ...byItself, source: (loop, options) => loop.time({ at, every: 1, ...options }) };
  },
  signal: () => ({
    ...byItself,
    source: (loop, options) => loop.signal(SIGNAL, options),
    provoke: () => sigqueue(process.pid, SIGNAL, 0),
  }),
  inotify: () => {
    const folder = new Folder();
    return {
      source: (loop, options) => loop.inotify(folder.path, { mask: IN_CLOSE_WRITE, ...options }),
      provoke: () => writeFileSync(folder.join('file'), ''),
      [Symbol.dispose]: () => folder[Symbol.dispose](),
    };
  },
  defer: () => ({ ...byItself, source: (loop, options) => loop.defer({ repeat: true, ...options }) }),
  post: () => ({
    ...byItself,
    source: (loop, options) => loop.post(options),
    provoke: (loop) => loop.state === 'finished' || loop.defer().subscribe(),
  }),
  memoryPressure: () => {
    const folder = new Folder();
    const path = folder.join('fifo');
    runProgram('mkfifo', [path]);
    const manager = new Fd(openSync(path, 'r+'));
    process.env.MEMORY_PRESSURE_WATCH = path;
    return {
      source: (loop, options) => loop.memoryPressure(options),
      provoke: () => write(manager.number, Buffer.from('x')),
      [Symbol.dispose]: () => {
        delete process.env.MEMORY_PRESSURE_WATCH;
        manager.close();
        folder[Symbol.dispose]();
      },
    };
  },
};

/** Provokes until a condition holds. */
export async function provokeUntil(loop: EventLoop, specimen: Specimen, condition: () => boolean): Promise<void> {
  while (!condition()) {
    specimen.provoke(loop);
    await setTimeout(1);
  }
}

/** The epoll instances of Node itself, which come and go for reasons of its own. */
const nodesOwn = new Set(openFds().filter(isEpoll));

function isEpoll(fd: string): boolean {
  return fd.endsWith('[eventpoll]');
}

/** How many descriptors this process has open, and how many of them its loops have in epoll. */
export function held(): { readonly fds: number; readonly watched: number } {
  const fds = openFds();
  const watched = fds
    .filter((fd) => isEpoll(fd) && !nodesOwn.has(fd))
    .flatMap((fd) => readFileSync(`/proc/self/fdinfo/${fd.split(' ')[0]}`, 'ascii').match(/^tfd:/gm) ?? []);
  return { fds: fds.length, watched: watched.length };
}
