import { openSync } from 'node:fs';
import { EventLoop, type IoEvent } from '@sdrx/event';
import {
  EPOLLERR,
  EPOLLEXCLUSIVE,
  EPOLLHUP,
  EPOLLIN,
  EPOLLONESHOT,
  EPOLLOUT,
  EventFd,
  eventfd,
  Fd,
  isOpen,
  pipe,
  write,
} from '@sdrx/linux';
import { BehaviorSubject, firstValueFrom, NEVER, of, Subject, take, throwError } from 'rxjs';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { until } from '../support/until.js';
import { iterations, onLoop, Sockets } from './on-loop.js';

t.test(
  'an Observable changes what is waited for, with each value',
  onLoop(async (t, loop) => {
    using ready = new EventFd(1);
    using sockets = new Sockets();
    write(sockets.theirs.number, Buffer.from('x'));
    const events = new BehaviorSubject(EPOLLIN);
    const seen: number[] = [];
    const subscription = loop.io(sockets.ours.number, { events }).subscribe(({ revents }) => seen.push(revents));
    for (const mask of [EPOLLOUT, EPOLLIN | EPOLLOUT, EPOLLIN]) {
      await until(() => seen.length > 0);
      events.next(mask);
      seen.length = 0;
      await until(() => seen.length > 1);
      t.strictSame([...new Set(seen)], [mask]);
    }
    events.next(0);
    seen.length = 0;
    await iterations(loop, ready.fd, 10);
    t.strictSame(seen, []);
    subscription.unsubscribe();
    t.notOk(events.observed);
  }),
);

t.test(
  'before the first value, only that the other end is gone is told',
  onLoop(async (t, loop) => {
    using ready = new EventFd(1);
    const [reader, writer] = pipe();
    write(writer.number, Buffer.from('x'));
    const seen: IoEvent[] = [];
    const subscription = loop.io(reader.number, { events: NEVER }).subscribe((event) => seen.push(event));
    await iterations(loop, ready.fd, 10);
    t.strictSame(seen, []);
    writer.close();
    await until(() => seen.length > 0);
    t.equal(seen[0]?.revents, EPOLLHUP);
    subscription.unsubscribe();
    reader.close();
  }),
);

t.test(
  'a value forgets what is pending; what is ready for the new mask is found again',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    using sockets = new Sockets();
    write(sockets.theirs.number, Buffer.from('x'));
    const events = new BehaviorSubject(EPOLLIN);
    const trace: (number | string)[] = [];
    const io = loop.io(sockets.ours.number, { events, priority: 1 }).subscribe(({ revents }) => {
      trace.push(revents);
      io.unsubscribe();
    });
    loop.time({ at: 0 }).subscribe(() => {
      trace.push('changed');
      events.next(EPOLLOUT);
    });
    loop.defer({ priority: 2 }).subscribe(() => loop.exit());
    await loop.run();
    t.strictSame(trace, ['changed', EPOLLOUT]);
  }),
);

t.test(
  'EPOLLONESHOT comes once, and once more for each value of the Observable',
  onLoop(async (t, loop) => {
    using ready = new EventFd(1);
    using event = new EventFd(1);
    const once = EPOLLIN | EPOLLONESHOT;
    const events = new BehaviorSubject(once);
    let count = 0;
    const subscription = loop.io(event.fd, { events }).subscribe(() => count++);
    for (const expected of [1, 2, 3]) {
      await iterations(loop, ready.fd, 10);
      t.equal(count, expected);
      events.next(once);
    }
    subscription.unsubscribe();
  }),
);

t.test(
  'EPOLLONESHOT may be set again by its own handler',
  onLoop(async (t, loop) => {
    using event = new EventFd(1);
    const events = new BehaviorSubject(EPOLLIN | EPOLLONESHOT);
    let count = 0;
    const subscription = loop.io(event.fd, { events }).subscribe(() => {
      count++;
      events.next(EPOLLIN | EPOLLONESHOT);
    });
    await until(() => count > 10);
    subscription.unsubscribe();
    t.pass();
  }),
);

t.test(
  'the completion of the Observable does nothing, its error ends the source with it',
  onLoop(async (t, loop) => {
    using event = new EventFd(1);
    t.equal((await firstValueFrom(loop.io(event.fd, { events: of(EPOLLIN) }))).revents, EPOLLIN);
    const failure = new Error('no events');
    await t.rejects(firstValueFrom(loop.io(event.fd, { events: throwError(() => failure) })), failure);
    const events = new Subject<number>();
    const late = t.rejects(firstValueFrom(loop.io(event.fd, { events })), failure);
    events.error(failure);
    await late;
  }),
);

t.test(
  'a mask that the kernel refuses ends the source with its error, whatever comes afterwards',
  onLoop(async (t, loop) => {
    using ready = new EventFd(1);
    using event = new EventFd(1);
    const events = new Subject<number>();
    const errors: unknown[] = [];
    let came = 0;
    loop.io(event.fd, { events }).subscribe({ next: () => came++, error: (error) => errors.push(error) });
    events.next(EPOLLIN | EPOLLEXCLUSIVE);
    events.next(0);
    await iterations(loop, ready.fd, 10);
    t.match(errors, [{ code: 'EINVAL', syscall: 'epoll_ctl' }]);
    t.equal(came, 0);
    t.notOk(events.observed);
  }),
);

t.test(
  'an error of another option is not forgotten when the events change',
  onLoop(async (t, loop) => {
    using ready = new EventFd(1);
    using event = new EventFd();
    const [priority, events] = [new Subject<number>(), new Subject<number>()];
    const failure = new Error('no priority');
    const errors: unknown[] = [];
    loop.io(event.fd, { events, priority }).subscribe({ error: (error) => errors.push(error) });
    priority.error(failure);
    events.next(EPOLLIN);
    await iterations(loop, ready.fd, 10);
    t.strictSame(errors, [failure]);
  }),
);

t.test(
  'of several subscriptions to one fd each changes its own',
  onLoop(async (t, loop) => {
    using ready = new EventFd(1);
    using sockets = new Sockets();
    write(sockets.theirs.number, Buffer.from('x'));
    const masks = [EPOLLIN, EPOLLOUT, 0].map((mask) => new BehaviorSubject(mask));
    const seen = masks.map(() => new Set<number>());
    const subscriptions = masks.map((events, index) =>
      loop.io(sockets.ours.number, { events }).subscribe(({ revents }) => seen[index]?.add(revents)),
    );
    await until(() => (seen[0]?.size ?? 0) + (seen[1]?.size ?? 0) === 2);
    t.strictSame(
      seen.map((set) => [...set]),
      [[EPOLLIN], [EPOLLOUT], []],
    );
    masks[0]?.next(0);
    masks[1]?.next(0);
    masks[2]?.next(EPOLLIN | EPOLLOUT);
    for (const set of seen) set.clear();
    await until(() => (seen[2]?.size ?? 0) > 0);
    t.strictSame(
      seen.map((set) => [...set]),
      [[], [], [EPOLLIN | EPOLLOUT]],
    );
    masks[2]?.next(0);
    await iterations(loop, ready.fd, 10);
    for (const subscription of subscriptions) subscription.unsubscribe();
  }),
);

t.test(
  'a mask that comes while the rate limit holds the source back counts afterwards',
  onLoop(async (t, loop) => {
    using ready = new EventFd(1);
    using sockets = new Sockets();
    write(sockets.theirs.number, Buffer.from('x'));
    const events = new BehaviorSubject(EPOLLIN);
    const leave = new Subject<void>();
    const seen: number[] = [];
    const ratelimit = { interval: 3_600_000, burst: 1, leave };
    const subscription = loop
      .io(sockets.ours.number, { events, ratelimit })
      .subscribe(({ revents }) => seen.push(revents));
    await iterations(loop, ready.fd, 10);
    events.next(EPOLLOUT);
    await iterations(loop, ready.fd, 10);
    t.strictSame(seen, [EPOLLIN]);
    leave.next();
    await until(() => seen.length === 2);
    t.strictSame(seen, [EPOLLIN, EPOLLOUT]);
    subscription.unsubscribe();
  }),
);

t.test(
  '`own` closes the fd at the end of the subscription, however that ends',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const finished = loop.run();
    const opened: number[] = [];
    const make = (): number => {
      const fd = eventfd(1).take();
      opened.push(fd);
      return fd;
    };
    loop.io(make(), { own: true }).subscribe().unsubscribe();
    await firstValueFrom(loop.io(make(), { own: true }));
    await t.rejects(
      firstValueFrom(loop.io(make(), { own: true, events: throwError(() => new Error('no events')) })),
      /no events/,
    );
    t.notOk(opened.some(isOpen));
    const late = make();
    loop.io(late, { own: true, events: NEVER }).subscribe();
    t.ok(isOpen(late));
    loop.exit();
    await finished;
    t.notOk(isOpen(late), 'the loop finished');
  }),
);

t.test(
  '`own` of an Fd takes it over from its owner, who may close it all the same',
  onLoop(async (t, loop) => {
    const fd = eventfd(1);
    const { number } = fd;
    const source = loop.io(fd, { own: true });
    t.equal(fd.number, number, 'nothing happens before the subscription');
    const event = await firstValueFrom(source);
    t.equal(event.fd, number);
    t.notOk(isOpen(number));
    const other = eventfd();
    t.equal(other.number, number, 'the number is free again');
    fd.close();
    t.ok(isOpen(number), 'and the former owner does not close it twice');
    await t.rejects(firstValueFrom(source), { code: 'EBADF' }, 'there can be no second subscription');
    t.ok(isOpen(number));
    other.close();
  }),
);

t.test(
  '`own` closes the fd also when it cannot be watched',
  onLoop(async (t, loop) => {
    for (const wrap of [false, true]) {
      const file = openSync(process.execPath, 'r');
      const source = loop.io(wrap ? new Fd(file) : file, { own: true });
      await t.rejects(firstValueFrom(source), { code: 'EPERM' });
      t.notOk(isOpen(file));
    }
  }),
);

t.test(
  'without `own` an Fd stays its owner’s',
  onLoop(async (t, loop) => {
    using fd = eventfd(1);
    t.equal((await firstValueFrom(loop.io(fd).pipe(take(1)))).fd, fd.number);
    t.ok(isOpen(fd.number));
    fd.close();
    await t.rejects(firstValueFrom(loop.io(fd)), { code: 'EBADF' });
  }),
);

t.test(
  'the fd that it owns may be closed by nobody else, but its other end may',
  onLoop(async (t, loop) => {
    const [reader, writer] = pipe();
    const { number } = writer;
    reader.close();
    const { revents } = await firstValueFrom(loop.io(writer, { own: true, events: EPOLLOUT }));
    t.equal(revents & EPOLLERR, EPOLLERR);
    t.notOk(isOpen(number));
  }),
);
