// In a worker thread: has descriptors in every state, posts their numbers, and ends when it gets a message, if not before.
import { closeSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import {
  close,
  closeInThreads,
  duplicate,
  EventFd,
  eventfd,
  Fd,
  Inotify,
  memoryFile,
  openFile,
  parentNamespace,
  pidfdOpen,
  pipe,
  ReceiveBuffer,
  sendMessage,
  socketPair,
  spawn,
  TimerFd,
} from '@sdrx/linux';
import { until } from '../../support/until.js';

const [reader, writer] = pipe();
const [one, other] = socketPair();
sendMessage(one.number, Buffer.alloc(1), { fds: [reader.number, writer.number] });
const received: number[] = [];
new ReceiveBuffer(1).receive(other.number, received);
const child = spawn('true');
const namespace = openFile('/proc/self/ns/user');

/** Closed when the thread ends. */
const held = [
  reader,
  writer,
  one,
  other,
  child.pidfd,
  namespace,
  duplicate(0),
  pidfdOpen(process.pid),
  memoryFile('held'),
  eventfd(),
].map(({ number }) => number);
const objects = [new EventFd(), new Inotify(), new TimerFd('monotonic')];
held.push(...received, ...objects.map(({ fd }) => fd), new Fd(duplicate(0).take()).number);

/** Given away: stay open. */
const given = [eventfd().take(), new Fd(duplicate(0).take()).take()];

/** Closed by us in every way; their numbers are others' from then on. */
const closed = [eventfd(), openFile('/dev/null'), duplicate(0), eventfd()] as const;
const numbers = closed.map(({ number }) => number);
closed[0].close();
close(closed[1].take());
const threads = closeInThreads([closed[2].take()]);
await until(() => threads.every(({ ended }) => ended));
closed[3][Symbol.dispose]();

// One whose number was closed behind its back, and comes again.
const lost = eventfd();
closeSync(lost.number);
const again = eventfd();
held.push(again.number);

try {
  parentNamespace(namespace.number);
} catch {
  // There is none to see.
}

parentPort?.postMessage({ held, given, closed: numbers, same: lost.number === again.number });
parentPort?.once('message', () => undefined);
