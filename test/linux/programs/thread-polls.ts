// In a worker thread: what a NodePoll does there, posted as an object of answers.
import { parentPort } from 'node:worker_threads';
import { EPOLLIN, Epoll, EventFd, eventfd, NodePoll, openFile } from '@sdrx/linux';
import { errorCode } from '../../support/error-code.js';
import { until } from '../../support/until.js';

const turn = () => new Promise((resolve) => setImmediate(resolve));
const turns = async () => {
  for (let count = 0; count < 5; count++) await turn();
};

using event = new EventFd();
using other = new EventFd();
using epoll = new Epoll();
epoll.add(event.fd, EPOLLIN, 0);
let calls = 0;
let otherCalls = 0;
using poll = new NodePoll(epoll.fd, () => calls++);
using second = new NodePoll(other.fd, () => otherCalls++);
const watch = (fd: number) => errorCode(() => new NodePoll(fd, () => undefined));
const answers: Record<string, unknown> = {};

await turns();
answers.callsBefore = calls;
event.add();
await until(() => calls > 2);
answers.otherCalls = otherCalls;
event.take();
await turns();
const level = calls;
await turns();
answers.callsAfterTaking = calls - level;
poll.pause();
event.add();
await turns();
answers.callsWhilePaused = calls - level;
poll.resume();
await until(() => calls > level);
poll[Symbol.dispose]();
const disposed = calls;
await turns();
answers.callsAfterItsEnd = calls - disposed;
other.add();
await until(() => otherCalls > 0);
{
  using again = new NodePoll(epoll.fd, () => again[Symbol.dispose]());
  await turns();
}
using file = openFile('/proc/self/exe');
answers.errors = [watch(file.number), watch(9999), watch(-1), watch(other.fd)];
second.unref();
parentPort?.postMessage(answers);
// Left to the thread's end, which must not wait for it.
new NodePoll(eventfd(1).number, () => undefined).unref();
