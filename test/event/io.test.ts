import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { EventLoop, type IoEvent } from '@sdrx/event';
import {
  EPOLLERR,
  EPOLLET,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  EPOLLPRI,
  eventfd,
  libc,
  pipe,
  read,
  write,
} from '@sdrx/linux';
import { firstValueFrom, Subscription, take, toArray } from 'rxjs';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';
import { until } from '../support/until.js';
import { iterations, onLoop, Sockets, signalEvent } from './on-loop.js';

const send = libc<(fd: number, bytes: Uint8Array, size: number, flags: number) => number>(
  'intptr_t send(int, const void *, size_t, int)',
);
const MSG_OOB = 1;

t.test(
  'comes when the fd is readable, with what is ready',
  onLoop(async (t, loop) => {
    using sockets = new Sockets();
    const event = firstValueFrom(loop.io(sockets.ours.number));
    write(sockets.theirs.number, Buffer.from('x'));
    t.strictSame(await event, { fd: sockets.ours.number, revents: EPOLLIN });
  }),
);

t.test(
  'comes when the fd is writable, if that is asked for',
  onLoop(async (t, loop) => {
    using sockets = new Sockets();
    const event = await firstValueFrom(loop.io(sockets.ours.number, { events: EPOLLIN | EPOLLOUT }));
    t.equal(event.revents, EPOLLOUT);
  }),
);

t.test(
  'does not come before the fd is ready',
  onLoop(async (t, loop) => {
    using ready = eventfd(1);
    using other = eventfd();
    let events = 0;
    const subscription = loop.io(other.number).subscribe(() => events++);
    await iterations(loop, ready.number, 10);
    t.equal(events, 0);
    signalEvent(other.number);
    await until(() => events > 0);
    subscription.unsubscribe();
  }),
);

t.test(
  'comes for urgent data with EPOLLPRI',
  onLoop(async (t, loop) => {
    using sockets = new Sockets();
    const event = firstValueFrom(loop.io(sockets.ours.number, { events: EPOLLPRI }));
    t.equal(send(sockets.theirs.number, Buffer.from('!'), 1, MSG_OOB), 1);
    t.equal((await event).revents, EPOLLPRI);
  }),
);

t.test(
  'comes with EPOLLHUP when the other end of a pipe is closed, whatever was asked for',
  onLoop(async (t, loop) => {
    const [reader, writer] = pipe();
    const event = firstValueFrom(loop.io(reader.number, { events: 0 }));
    writer.close();
    t.equal((await event).revents, EPOLLHUP);
    reader.close();
  }),
);

t.test(
  'comes with EPOLLERR when nobody reads the pipe any more',
  onLoop(async (t, loop) => {
    const [reader, writer] = pipe();
    reader.close();
    const event = await firstValueFrom(loop.io(writer.number, { events: EPOLLOUT }));
    t.equal(event.revents & EPOLLERR, EPOLLERR);
    writer.close();
  }),
);

t.test(
  'is level-triggered: it comes again as long as the fd is ready, and no longer',
  onLoop(async (t, loop) => {
    using ready = eventfd(1);
    using event = eventfd(1);
    let events = 0;
    const subscription = loop.io(event.number).subscribe(() => {
      if (++events === 5) read(event.number, Buffer.alloc(8));
    });
    await until(() => events === 5);
    await iterations(loop, ready.number, 10);
    t.equal(events, 5);
    subscription.unsubscribe();
  }),
);

t.test(
  'with EPOLLET comes once for each change',
  onLoop(async (t, loop) => {
    using ready = eventfd(1);
    using event = eventfd();
    let events = 0;
    const subscription = loop.io(event.number, { events: EPOLLIN | EPOLLET }).subscribe(() => events++);
    for (const expected of [1, 2, 3]) {
      signalEvent(event.number);
      await iterations(loop, ready.number, 10);
      t.equal(events, expected);
    }
    subscription.unsubscribe();
  }),
);

t.test(
  'adds up what became ready while it waited for its turn',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    using sockets = new Sockets();
    using first = eventfd(1);
    using second = eventfd(1);
    const bytes = Buffer.alloc(65_536);
    // Readable, but not writable.
    write(sockets.theirs.number, Buffer.from('x'));
    while (write(sockets.ours.number, bytes) !== undefined);
    const late = firstValueFrom(loop.io(sockets.ours.number, { events: EPOLLIN | EPOLLOUT, priority: 9 }));
    // A source of a higher priority makes the loop ask the kernel again before each of the others: after the first it
    // finds the socket writable, but no longer readable.
    const important = loop.time({ after: 3_600_000, priority: 0 }).subscribe();
    loop
      .io(first.number, { priority: 1 })
      .pipe(take(1))
      .subscribe(() => {
        read(sockets.ours.number, bytes);
        while (read(sockets.theirs.number, bytes) !== undefined);
      });
    loop.io(second.number, { priority: 2 }).pipe(take(1)).subscribe();
    const finished = loop.run();
    t.equal((await late).revents, EPOLLIN | EPOLLOUT);
    important.unsubscribe();
    loop.exit();
    await finished;
  }),
);

t.test(
  'several subscriptions to one fd come each, and end each on its own',
  onLoop(async (t, loop) => {
    using ready = eventfd(1);
    using event = eventfd(1);
    const counts = [0, 0, 0];
    const subscriptions = counts.map((_, index) =>
      loop.io(event.number).subscribe(({ fd }) => {
        t.equal(fd, event.number);
        counts[index] = (counts[index] ?? 0) + 1;
      }),
    );
    await until(() => counts.every((count) => count > 2));
    subscriptions[0]?.unsubscribe();
    const before = [...counts];
    await until(() => counts.slice(1).every((count, index) => count > (before[index + 1] ?? 0) + 2));
    t.equal(counts[0], before[0]);
    subscriptions[1]?.unsubscribe();
    subscriptions[2]?.unsubscribe();
    const after = [...counts];
    await iterations(loop, ready.number, 5);
    t.strictSame(counts, after);
  }),
);

t.test(
  'one Observable can be subscribed to again and again',
  onLoop(async (t, loop) => {
    using event = eventfd(1);
    const source = loop.io(event.number);
    for (let round = 0; round < 3; round++) {
      t.equal((await firstValueFrom(source.pipe(take(4), toArray()))).length, 4);
    }
  }),
);

t.test(
  'a regular file or a folder is an error, EPERM',
  onLoop(async (t, loop) => {
    using folder = new Folder();
    writeFileSync(folder.join('file'), 'text');
    mkdirSync(folder.join('folder'));
    for (const name of ['file', 'folder']) {
      const fd = openSync(folder.join(name), 'r');
      await t.rejects(firstValueFrom(loop.io(fd)), { name: 'SystemError', code: 'EPERM', syscall: 'epoll_ctl' });
      closeSync(fd);
    }
  }),
);

t.test(
  'an fd that is not open is an error, EBADF',
  onLoop(async (t, loop) => {
    await t.rejects(firstValueFrom(loop.io(-1)), { code: 'EBADF' });
    await t.rejects(firstValueFrom(loop.io(9999)), { code: 'EBADF', subject: '9999' });
  }),
);

t.test(
  'a failed subscription does not disturb the others',
  onLoop(async (t, loop) => {
    using events = eventfd(1);
    for (let round = 0; round < 3; round++) await t.rejects(firstValueFrom(loop.io(-1)), { code: 'EBADF' });
    t.equal((await firstValueFrom(loop.io(events.number))).fd, events.number);
  }),
);

t.test(
  'does not come after it was unsubscribed from in its own handler',
  onLoop(async (t, loop) => {
    using ready = eventfd(1);
    using event = eventfd(1);
    let events = 0;
    const subscription = loop.io(event.number).subscribe(() => {
      events++;
      subscription.unsubscribe();
    });
    await iterations(loop, ready.number, 10);
    t.equal(events, 1);
  }),
);

t.test(
  'the fd may be closed in the handler, before or after unsubscribing',
  onLoop(async (t, loop) => {
    using ready = eventfd(1);
    for (const closeFirst of [true, false]) {
      const event = eventfd(1);
      let events = 0;
      const subscription = loop.io(event.number).subscribe(() => {
        events++;
        if (closeFirst) event.close();
        subscription.unsubscribe();
        event.close();
      });
      await iterations(loop, ready.number, 10);
      t.equal(events, 1);
    }
  }),
);

t.test(
  'an fd with the number of one that was closed has its own events, also when the old subscription ends last',
  onLoop(async (t, loop) => {
    for (const unsubscribeFirst of [true, false]) {
      const old = eventfd(1);
      const event = await new Promise<IoEvent>((resolve) => {
        const number = old.number;
        const subscriptions = new Subscription();
        const first = loop.io(number).subscribe(() => {
          if (unsubscribeFirst) first.unsubscribe();
          old.close();
          const next = eventfd();
          t.equal(next.number, number);
          subscriptions.add(
            loop.io(next.number).subscribe((value) => {
              subscriptions.unsubscribe();
              next.close();
              resolve(value);
            }),
          );
          first.unsubscribe();
          signalEvent(next.number, 7);
        });
      });
      t.equal(event.revents, EPOLLIN);
    }
  }),
);

t.test(
  'a thousand fds that are ready at once come each',
  onLoop(async (t, loop) => {
    const events = Array.from({ length: 1000 }, () => eventfd(1));
    const seen = new Set<number>();
    const subscription = new Subscription();
    for (const { number } of events) {
      subscription.add(
        loop.io(number).subscribe(({ fd }) => {
          read(fd, Buffer.alloc(8));
          if (seen.has(fd)) t.fail(`${fd} came twice`);
          seen.add(fd);
        }),
      );
    }
    await until(() => seen.size === events.length);
    subscription.unsubscribe();
    for (const event of events) event.close();
  }),
);
