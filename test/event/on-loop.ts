import { EventLoop } from '@sdrx/event';
import { type Fd, SOCK_STREAM, socketPair, write } from '@sdrx/linux';
import type { Test } from 'tap';
import { leavingNothing } from '../support/nothing-left.js';

/** A test with a loop that runs as long as its body, and that leaves no descriptor open. */
export function onLoop(body: (t: Test, loop: EventLoop) => void | Promise<void>): (t: Test) => Promise<void> {
  return leavingNothing(async (t) => {
    using loop = new EventLoop();
    const finished = loop.run();
    await body(t, loop);
    loop.exit();
    await finished;
  });
}

/** Two connected sockets, closed when disposed of. */
export class Sockets implements Disposable {
  readonly ours: Fd;
  readonly theirs: Fd;

  constructor(type: Parameters<typeof socketPair>[0] = SOCK_STREAM) {
    [this.ours, this.theirs] = socketPair(type);
  }

  [Symbol.dispose](): void {
    this.ours.close();
    this.theirs.close();
  }
}

/** Adds to an eventfd's counter, which makes it readable. */
export function signalEvent(fd: number, count = 1): void {
  const value = Buffer.alloc(8);
  value.writeBigUInt64LE(BigInt(count));
  write(fd, value);
}

/** Resolves after `count` iterations that found an fd ready: whatever else was ready had its turn by then. */
export function iterations(loop: EventLoop, fd: number, count: number): Promise<void> {
  return new Promise((resolve) => {
    let left = count;
    const subscription = loop.io(fd, { priority: 1000 }).subscribe(() => {
      if (--left > 0) return;
      subscription.unsubscribe();
      resolve();
    });
  });
}
