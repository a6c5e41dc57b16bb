import { openSync } from 'node:fs';
import {
  duplicate,
  EPOLLERR,
  EPOLLET,
  EPOLLHUP,
  EPOLLIN,
  EPOLLONESHOT,
  EPOLLOUT,
  EPOLLRDHUP,
  Epoll,
  eventfd,
  Fd,
  isOpen,
  read,
  socketPair,
  write,
} from '@sdrx/linux';
import fc from 'fast-check';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';

t.test(
  'poll tells what is ready, with the number it was added by',
  leavingNothing((t) => {
    using epoll = new Epoll();
    using idle = eventfd();
    using ready = eventfd(1);
    epoll.add(idle.number, EPOLLIN, 1);
    epoll.add(ready.number, EPOLLIN, 2);
    t.equal(epoll.poll(), 1);
    t.equal(epoll.data(0), 2);
    t.equal(epoll.revents(0), EPOLLIN);
    read(ready.number, Buffer.alloc(8));
    t.equal(epoll.poll(), 0);
  }),
);

t.test(
  'every number from 0 to 2³² − 1 comes back',
  leavingNothing((t) => {
    using epoll = new Epoll();
    using ready = eventfd(1);
    epoll.add(ready.number, EPOLLIN, 0);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), (data) => {
        epoll.modify(ready.number, EPOLLIN, data);
        return epoll.poll() === 1 && epoll.data(0) === data;
      }),
    );
    t.pass();
  }),
);

t.test(
  'many events come 512 at a time, and each of them in turn',
  leavingNothing((t) => {
    using epoll = new Epoll();
    const fds = Array.from({ length: 700 }, () => eventfd(1));
    fds.forEach((fd, index) => {
      epoll.add(fd.number, EPOLLIN, index);
    });
    const seen = new Set<number>();
    for (const expected of [512, 512]) {
      t.equal(epoll.poll(), expected);
      for (let index = 0; index < expected; index++) seen.add(epoll.data(index));
    }
    t.equal(seen.size, 700);
    for (const fd of fds) fd.close();
  }),
);

t.test(
  'EPOLLET tells once, EPOLLONESHOT once until modified',
  leavingNothing((t) => {
    using epoll = new Epoll();
    using edge = eventfd(1);
    epoll.add(edge.number, EPOLLIN | EPOLLET, 1);
    t.strictSame([epoll.poll(), epoll.poll()], [1, 0]);
    epoll.remove(edge.number);
    epoll.add(edge.number, EPOLLIN | EPOLLONESHOT, 2);
    t.strictSame([epoll.poll(), epoll.poll()], [1, 0]);
    epoll.modify(edge.number, EPOLLIN | EPOLLONESHOT, 3);
    t.equal(epoll.poll(), 1);
    t.equal(epoll.data(0), 3);
  }),
);

t.test(
  'the end of a connection shows as readable and hung up',
  leavingNothing((t) => {
    using epoll = new Epoll();
    const [ours, theirs] = socketPair();
    using end = ours;
    epoll.add(end.number, EPOLLIN | EPOLLOUT | EPOLLRDHUP, 0);
    t.equal(epoll.poll(), 1);
    t.equal(epoll.revents(0), EPOLLOUT);
    theirs.close();
    t.equal(epoll.poll(), 1);
    t.equal(epoll.revents(0) & ~EPOLLERR, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP);
  }),
);

t.test(
  'it is watched through another instance when nested',
  leavingNothing((t) => {
    using inner = new Epoll();
    using outer = new Epoll();
    using event = eventfd();
    inner.add(event.number, EPOLLIN, 0);
    outer.add(inner.fd, EPOLLIN, 9);
    t.equal(outer.poll(), 0);
    write(event.number, Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]));
    t.equal(outer.poll(), 1);
    t.equal(outer.data(0), 9);
  }),
);

t.test(
  'add throws EPERM for a regular file, EEXIST, EBADF',
  leavingNothing((t) => {
    using epoll = new Epoll();
    using file = new Fd(openSync('/proc/self/exe', 'r'));
    using event = eventfd();
    t.throws(() => epoll.add(file.number, EPOLLIN, 0), { code: 'EPERM', syscall: 'epoll_ctl' });
    epoll.add(event.number, EPOLLIN, 0);
    t.throws(() => epoll.add(event.number, EPOLLIN, 0), { code: 'EEXIST', subject: String(event.number) });
    t.throws(() => epoll.add(9999, EPOLLIN, 0), { code: 'EBADF' });
  }),
);

t.test(
  'modify throws ENOENT for what was not added, EBADF',
  leavingNothing((t) => {
    using epoll = new Epoll();
    using event = eventfd();
    t.throws(() => epoll.modify(event.number, EPOLLIN, 0), { code: 'ENOENT' });
    t.throws(() => epoll.modify(9999, EPOLLIN, 0), { code: 'EBADF' });
  }),
);

t.test(
  'remove is harmless for what is closed, was removed or never added, and ends the events of the rest',
  leavingNothing((t) => {
    using epoll = new Epoll();
    const closed = eventfd(1);
    using kept = eventfd(1);
    using copy = duplicate(kept.number);
    epoll.add(closed.number, EPOLLIN, 1);
    epoll.add(kept.number, EPOLLIN, 2);
    const { number } = closed;
    closed.close();
    epoll.remove(number);
    epoll.remove(copy.number);
    t.equal(epoll.poll(), 1);
    epoll.remove(kept.number);
    epoll.remove(kept.number);
    t.equal(epoll.poll(), 0);
  }),
);

t.test(
  'a disposed instance is closed, and polling it throws EBADF',
  leavingNothing((t) => {
    const epoll = new Epoll();
    const { fd } = epoll;
    epoll[Symbol.dispose]();
    t.notOk(isOpen(fd));
    t.throws(() => epoll.poll(), { code: 'EBADF', syscall: 'epoll_wait' });
  }),
);
