import { execFileSync } from 'node:child_process';
import { openSync } from 'node:fs';
import { EventLoop, type IoEvent } from '@sdrx/event';
import { EPOLLIN, EPOLLONESHOT, EPOLLPRI, EventFd, Fd } from '@sdrx/linux';
import { BehaviorSubject, NEVER } from 'rxjs';
import t, { type Test } from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { until } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';
import { iterations, onLoop } from './on-loop.js';

/** Mounts that nobody else changes, and the file that tells of their changes, each once. proc_pid_mountinfo(5) */
class Mounts implements Disposable {
  readonly #namespace = new UserNamespace([], '--map-root-user', '--mount');
  readonly file = new Fd(openSync(`/proc/${this.#namespace.child.pid}/mountinfo`, 'r'));

  /** Makes one more. */
  mount(): void {
    const enter = [`--target=${this.#namespace.child.pid}`, '--user', '--mount'];
    execFileSync('nsenter', [...enter, 'mount', '-t', 'tmpfs', 'none', '/mnt']);
  }

  [Symbol.dispose](): void {
    this.file.close();
    this.#namespace[Symbol.dispose]();
  }
}

/** A test of what is told of mounts. */
function withMounts(body: (t: Test, loop: EventLoop, mounts: Mounts) => Promise<void>): (t: Test) => Promise<void> {
  return onLoop(async (t, loop) => {
    using mounts = new Mounts();
    await body(t, loop, mounts);
  });
}

t.test(
  'each change of the mounts is told',
  withMounts(async (t, loop, mounts) => {
    using ready = new EventFd(1);
    const seen: IoEvent[] = [];
    const subscription = loop.io(mounts.file, { events: EPOLLPRI }).subscribe((event) => seen.push(event));
    await iterations(loop, ready.fd, 10);
    t.strictSame(seen, [], 'none yet');
    for (let change = 1; change <= 5; change++) {
      mounts.mount();
      await until(() => seen.length >= change);
      await iterations(loop, ready.fd, 10);
    }
    t.strictSame(seen, Array(5).fill({ fd: mounts.file.number, revents: EPOLLPRI }), 'and none twice');
    subscription.unsubscribe();
    mounts.mount();
    await iterations(loop, ready.fd, 10);
    t.equal(seen.length, 5);
  }),
);

t.test(
  'also what comes before the loop runs, and before Node has had a turn',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    using mounts = new Mounts();
    let told = 0;
    const subscription = loop.io(mounts.file, { events: EPOLLPRI }).subscribe(() => told++);
    mounts.mount();
    const finished = loop.run();
    await until(() => told > 0);
    mounts.mount();
    await until(() => told > 1);
    subscription.unsubscribe();
    loop.exit();
    await finished;
    t.equal(told, 2);
  }),
);

for (const [when, later] of Object.entries({
  'a timer': (begin: () => void) => void setTimeout(begin, 1),
  'an immediate': (begin: () => void) => void setImmediate(begin),
  'a callback of I/O': (begin: () => void, loop: EventLoop) => {
    const ready = new EventFd(1);
    const subscription = loop.io(ready.fd).subscribe(() => {
      subscription.unsubscribe();
      ready[Symbol.dispose]();
      begin();
    });
  },
})) {
  t.test(
    `what comes right after ${when} has subscribed is told`,
    withMounts(async (t, loop, mounts) => {
      let told = 0;
      const subscribed = new Promise<{ unsubscribe(): void }>((resolve) => {
        later(() => {
          resolve(loop.io(mounts.file, { events: EPOLLPRI }).subscribe(() => told++));
          mounts.mount();
        }, loop);
      });
      const subscription = await subscribed;
      await until(() => told > 0);
      subscription.unsubscribe();
      t.equal(told, 1);
    }),
  );
}

t.test(
  'EPOLLONESHOT tells one, until the events are set again',
  withMounts(async (t, loop, mounts) => {
    using ready = new EventFd(1);
    const events = new BehaviorSubject(EPOLLPRI | EPOLLONESHOT);
    let told = 0;
    const subscription = loop.io(mounts.file, { events }).subscribe(() => told++);
    await iterations(loop, ready.fd, 10);
    for (const expected of [1, 2]) {
      mounts.mount();
      await until(() => told >= expected);
      mounts.mount();
      await iterations(loop, ready.fd, 10);
      t.equal(told, expected);
      events.next(EPOLLPRI | EPOLLONESHOT);
      await iterations(loop, ready.fd, 10);
    }
    subscription.unsubscribe();
  }),
);

t.test(
  'what comes while the rate limit holds it back is told after that',
  withMounts(async (t, loop, mounts) => {
    let told = 0;
    const ratelimit = { interval: 300, burst: 1 };
    const subscription = loop.io(mounts.file, { events: EPOLLPRI, ratelimit }).subscribe(() => told++);
    mounts.mount();
    await until(() => told > 0);
    mounts.mount();
    mounts.mount();
    t.equal(told, 1);
    await until(() => told > 1);
    subscription.unsubscribe();
    t.equal(told, 2);
  }),
);

t.test(
  'a level of such a file is told as long as it lasts, and rests while the rate limit holds it back',
  onLoop(async (t, loop) => {
    // Whose end is read at once, and so ready.
    using file = new Fd(openSync('/proc/self/mountinfo', 'r'));
    let told = 0;
    const events = EPOLLIN | EPOLLPRI;
    const subscription = loop.io(file, { events, ratelimit: { interval: 200, burst: 2 } }).subscribe(({ revents }) => {
      told++;
      t.equal(revents & EPOLLIN, EPOLLIN);
    });
    await until(() => told > 1);
    const before = performance.eventLoopUtilization();
    await until(() => told > 2, 20);
    const { utilization } = performance.eventLoopUtilization(before);
    t.ok(utilization < 0.9, `Node's loop was busy for ${utilization} of the time`);
    subscription.unsubscribe();
  }),
);

t.test(
  'the descriptor is closed with the subscription where that owns it, also if it fails',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    using mounts = new Mounts();
    for (const events of [EPOLLPRI, NEVER]) {
      const file = new Fd(openSync('/proc/self/mountinfo', 'r'));
      loop.io(file, { events, own: true }).subscribe().unsubscribe();
      t.equal(file.number, -1);
    }
    const never = new Fd(openSync('/proc/self/status', 'r'));
    await t.rejects(
      new Promise((_, reject) => loop.io(never, { events: EPOLLPRI, own: true }).subscribe({ error: reject })),
      { code: 'EPERM' },
    );
    mounts.mount();
  }),
);
