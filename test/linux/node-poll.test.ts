import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Writable } from 'node:stream';
import { EPOLLIN, Epoll, eventfd, Fd, NodePoll, read, write } from '@sdrx/linux';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';
import { until } from '../support/until.js';

/** A process that watches a descriptor exclusively. */
class Watcher {
  readonly #closed: Promise<unknown>;
  readonly #input: Writable;
  readonly #lines: AsyncIterator<string>;

  constructor(fd: number) {
    const program = programPath('programs/exclusive-poll.js', import.meta.url);
    const child = spawn(process.execPath, [program], { stdio: ['pipe', 'pipe', 'inherit', fd] });
    if (child.stdin === null || child.stdout === null) throw new Error('it has no pipes');
    this.#closed = once(child, 'close');
    this.#input = child.stdin;
    this.#lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  }

  async line(): Promise<string> {
    return String((await this.#lines.next()).value);
  }

  /** Has it do something. @returns how often it was called by now */
  async calls(what: 'yield' | 'resume' | 'end' | 'count' = 'count'): Promise<number> {
    this.#input.write(`${what}\n`);
    return Number(await this.line());
  }

  async end(): Promise<void> {
    await this.calls('end');
    this.#input.destroy();
    await this.#closed;
  }
}

const ONE = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]);
const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

t.test(
  'it calls as long as the fd is readable, and not while it is not',
  leavingNothing(async (t) => {
    using event = eventfd();
    let calls = 0;
    let more: () => void = () => {};
    using _poll = new NodePoll(event.number, () => {
      calls++;
      setImmediate(more);
    });
    const called = () =>
      new Promise<void>((resolve) => {
        more = resolve;
      });
    await nextTurn();
    t.equal(calls, 0);
    write(event.number, ONE);
    await called();
    await called();
    t.ok(calls >= 2);
    read(event.number, Buffer.alloc(8));
    await nextTurn();
    const before = calls;
    await nextTurn();
    await nextTurn();
    t.equal(calls, before);
  }),
);

t.test(
  'it watches an epoll instance, so that one handle carries many descriptors',
  leavingNothing(async (t) => {
    using epoll = new Epoll();
    using event = eventfd();
    epoll.add(event.number, EPOLLIN, 7);
    const ready = new Promise<void>((resolve) => {
      const poll = new NodePoll(epoll.fd, () =>
        setImmediate(() => {
          poll[Symbol.dispose]();
          resolve();
        }),
      );
    });
    write(event.number, ONE);
    await ready;
    t.equal(epoll.poll(), 1);
    t.equal(epoll.data(0), 7);
  }),
);

t.test(
  'nothing is called after it was disposed of, which is harmless twice',
  leavingNothing(async (t) => {
    using event = eventfd(1);
    const poll = new NodePoll(event.number, () => t.fail('called'));
    poll[Symbol.dispose]();
    poll[Symbol.dispose]();
    await nextTurn();
    await nextTurn();
    t.pass();
  }),
);

t.test('it goes on when nobody has a reference to it and garbage is collected', (t) => {
  const program = programPath('./programs/unreferenced-poll.js', import.meta.url);
  t.equal(runNode(['--expose-gc', program]).output, 'readable');
  t.end();
});

t.test(
  'an fd that cannot be polled throws EPERM, a closed one EBADF, one that is watched EEXIST',
  leavingNothing((t) => {
    using file = new Fd(openSync('/proc/self/exe', 'r'));
    using folder = new Fd(openSync('/', 'r'));
    using event = eventfd();
    const watch = (fd: number) => new NodePoll(fd, () => {});
    t.throws(() => watch(file.number), { code: 'EPERM' });
    t.throws(() => watch(folder.number), { code: 'EPERM' });
    t.throws(() => watch(9999), { code: 'EBADF' });
    t.throws(() => watch(-1), { code: 'EBADF' });
    using _poll = watch(event.number);
    t.throws(() => watch(event.number), { code: 'EEXIST' });
  }),
);

t.test('it keeps Node alive until it is disposed of', (t) => {
  const program = programPath('./programs/poll-keeps-alive.js', import.meta.url);
  t.equal(runNode([program]).output, 'readable, then the end');
  t.end();
});

t.test(
  'paused it does not call, resumed it does',
  leavingNothing(async (t) => {
    using event = eventfd(1);
    let calls = 0;
    using poll = new NodePoll(event.number, () => calls++);
    await until(() => calls > 0);
    poll.pause();
    poll.pause();
    const before = calls;
    for (let turns = 0; turns < 5; turns++) await nextTurn();
    t.equal(calls, before);
    poll.resume();
    await until(() => calls > before);
    poll[Symbol.dispose]();
    poll.pause();
    t.pass('harmless after its end');
  }),
);

// libuv opens /dev/null with the first pipe that it reads, and keeps it.
t.before(() => once(spawn('true'), 'close'));

t.test(
  'of several processes that watch exclusively one is woken, who yields last, and who resumes is told what waits still',
  leavingNothing(async (t) => {
    using event = eventfd();
    const watchers: Watcher[] = [];
    for (let count = 0; count < 4; count++) {
      const watcher = new Watcher(event.number);
      t.equal(await watcher.line(), 'watches');
      // It is registered once its loop has turned.
      t.equal(await watcher.calls(), 0);
      watchers.push(watcher);
    }
    const counts = async () => {
      const all: number[] = [];
      for (const watcher of watchers) all.push(await watcher.calls());
      return all;
    };
    await watchers[0]?.calls('yield');
    write(event.number, ONE);
    while (!(await counts()).some((calls) => calls > 0));
    t.strictSame(await counts(), [0, 1, 0, 0], 'the second one, as the first has yielded');
    await watchers[1]?.calls('resume');
    while ((await watchers[1]?.calls()) === 1);
    t.strictSame(await counts(), [0, 2, 0, 0]);
    await Promise.all(watchers.map((watcher) => watcher.end()));
  }),
);
