import { setTimeout } from 'node:timers/promises';
import { type Dispatch, EventLoop, trace } from '@sdrx/event';
import { pipe, read, write } from '@sdrx/linux';
import { tap } from 'rxjs';
import { busy } from './busy.js';
import type { Moment, Recording } from './recording.js';
import { until } from './until.js';

/** The window of the source's rate limit, and the longest one that is tried, in milliseconds. */
const INTERVAL = 70;
const LONGEST = 10_000;

/**
 * Runs a loop with one source that goes through all that a source may go through, beside one that goes before it. A machine that does
 * other things may take longer than the window for two dispatches: then it is tried again with a longer one.
 */
export async function recordLife(): Promise<Recording> {
  for (let interval = INTERVAL; interval < LONGEST; interval *= 2) {
    const recording = await attemptLife(interval);
    if (recording !== undefined) return recording;
  }
  throw new Error(`two dispatches take longer than ${LONGEST / 2} ms`);
}

/** @returns undefined if the third time came too late for the rate limit */
async function attemptLife(interval: number): Promise<Recording | undefined> {
  const loop = new EventLoop();
  const dispatches: Dispatch[] = [];
  const moments: Moment[] = [];
  const note = (what: string) => moments.push({ at: loop.now(), what });
  const [reader, writer] = pipe();
  const [urgentReader, urgentWriter] = pipe();
  const byte = Buffer.from('.');
  trace(loop).subscribe((dispatch) => dispatches.push(dispatch));
  const urgent = loop.io(urgentReader.number, { priority: -10, description: 'urgent' });
  const working = (fd: number, milliseconds: number) => () => {
    read(fd, Buffer.alloc(1));
    busy(milliseconds);
  };
  const finished = loop.run(urgent.pipe(tap(working(urgentReader.number, 9))));
  const count = () => dispatches.filter(({ description }) => description === 'requests').length;
  try {
    await setTimeout(5);
    const ratelimit = { interval, burst: 2, onExpire: () => note('limit ends') };
    const source = loop.io(reader.number, { description: 'requests', ratelimit });
    note('subscribed');
    const subscription = source.subscribe(working(reader.number, 5));
    await setTimeout(12);
    write(writer.number, byte);
    await until(() => count() === 1);
    await setTimeout(10);
    write(urgentWriter.number, byte);
    write(writer.number, byte);
    await until(() => count() === 2);
    const [first, second] = dispatches.filter(({ description }) => description === 'requests');
    if (first === undefined || second === undefined || second.end - first.begin > interval) return undefined;
    await setTimeout(10);
    write(writer.number, byte);
    await until(() => count() === 3);
    await setTimeout(20);
    subscription.unsubscribe();
    note('unsubscribed');
    await setTimeout(5);
    return moments.some(({ what }) => what === 'limit ends') ? { dispatches, moments } : undefined;
  } finally {
    loop.exit();
    await finished;
    for (const fd of [reader, writer, urgentReader, urgentWriter]) fd.close();
  }
}
