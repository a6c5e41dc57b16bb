// In a worker thread: holds what there is to hold, says so, and ends in the way that workerData names, or waits for its end.
import { parentPort, Worker, workerData } from 'node:worker_threads';
import { EventLoop } from '@sdrx/event';
import {
  closeInThreads,
  EPOLLPRI,
  eventfd,
  type Fd,
  NodePoll,
  openFile,
  pipe,
  ReceiveBuffer,
  sendMessage,
  socketPair,
  spawn,
  userExists,
} from '@sdrx/linux';
import type { Observable } from 'rxjs';

/** How a thread can end by itself; what begins with `wait` is ended by others. */
export type Ending =
  | 'natural'
  | 'disposed'
  | 'exit'
  | 'throw'
  | 'throw in a handler'
  | 'reject'
  | 'heap'
  | 'wait'
  | 'wait without running'
  | 'wait busy'
  | 'wait while starting'
  | 'wait within';

const ending: Ending = workerData;
const held: unknown[] = [];
const ready = (): void => parentPort?.postMessage('ready');

/** Subscribes to every kind of source that holds something, and to several of an fd. */
function subscribe(loop: EventLoop): void {
  const [reader, writer] = pipe();
  const [one, other] = socketPair();
  const child = spawn('true');
  const told = openFile('/proc/self/mountinfo');
  const sources: readonly Observable<unknown>[] = [
    loop.io(reader),
    loop.io(reader),
    loop.io(one, { own: true }),
    loop.io(told, { events: EPOLLPRI }),
    loop.time({ after: 1e9 }),
    loop.time({ clock: 'realtime', after: 1e9 }),
    loop.inotify('/'),
    loop.child(child),
    loop.exiting(),
  ];
  for (const source of sources) held.push(source.subscribe());
  held.push(writer, other);
}

/** Takes what has descriptors without a loop, some of it ready at all times. */
function takeOthers(): void {
  const readable = eventfd(1);
  const poll = new NodePoll(readable.number, () => undefined);
  poll.unref();
  const [sender, receiver] = socketPair();
  sendMessage(sender.number, Buffer.alloc(1), { fds: [readable.number, readable.number] });
  const received: number[] = [];
  new ReceiveBuffer(1).receive(receiver.number, received);
  const closing = closeInThreads([eventfd().take()]);
  held.push(readable, poll, sender, receiver, received, closing, userExists('nobody'));
}

/** Never returns: makes and takes apart what has descriptors, so that the thread's end comes in the midst of that. */
function startForEver(): never {
  for (;;) {
    using loop = new EventLoop();
    const fds: readonly Fd[] = [...pipe(), ...socketPair(), eventfd()];
    for (const fd of fds) loop.io(fd, { own: true }).subscribe();
    loop.time({ after: 1e9 }).subscribe();
    void loop.run();
  }
}

if (ending === 'wait within') {
  new Worker(new URL(import.meta.url), { workerData: 'wait' }).once('message', ready);
} else if (ending === 'wait while starting') {
  ready();
  startForEver();
} else {
  const loops = [new EventLoop(), new EventLoop()] as const;
  for (const loop of loops) subscribe(loop);
  takeOthers();
  if (ending === 'natural' || ending === 'wait without running') {
    ready();
    if (ending === 'wait without running') setInterval(() => undefined, 1e6);
  } else {
    const finished = loops.map((loop) => loop.run());
    // One that always has something to do.
    loops[1].time({ every: 0.1 }).subscribe();
    await new Promise<void>((resolve) => loops[0].defer().subscribe(resolve));
    ready();
    if (ending === 'disposed') {
      for (const loop of loops) loop.exit(0);
      await Promise.all(finished);
      process.exit(0);
    }
    if (ending === 'exit') process.exit(3);
    if (ending === 'throw') throw new Error('as asked');
    if (ending === 'reject') void Promise.reject(new Error('as asked'));
    if (ending === 'throw in a handler') {
      loops[0].defer().subscribe(() => {
        throw new Error('as asked');
      });
    }
    if (ending === 'heap') {
      for (;;) held.push(Array.from({ length: 1000 }, () => ({})));
    }
    if (ending === 'wait busy') {
      loops[0].defer().subscribe(() => {
        for (;;);
      });
    }
  }
}
