/**
 * Says by how much the process's memory grows, in bytes, while many records are read, and while many ring buffers are
 * opened: the least of several rounds. What is never given back is taken in every round, what V8 takes for itself is not.
 */
import { setImmediate } from 'node:timers/promises';
import { RingBuffer } from '@sdrx/bpf';
import { loadPackets, writeRecord } from '../packets.js';

async function resident(): Promise<number> {
  // Finalizers run in turns of their own.
  for (let turn = 0; turn < 5; turn++) {
    globalThis.gc?.();
    await setImmediate();
  }
  return process.memoryUsage.rss();
}

using object = loadPackets();
const ring = object.ringBuffer('records');

function read(count: number): void {
  for (let done = 0; done < count; done++) {
    writeRecord(object, 'some text');
    for (const record of ring.read()) if (record.length !== 9) throw new Error('not what was written');
  }
}

async function open(count: number): Promise<void> {
  for (let done = 0; done < count; done++) {
    using another = new RingBuffer(object.map('records'));
    if (another.peek().records.length > 0) throw new Error('there is something');
    if (done % 250 === 0) await resident();
  }
}

async function leastGrowth(round: () => void | Promise<void>): Promise<number> {
  const growths: number[] = [];
  let before = await resident();
  for (let done = 0; done < 5; done++) {
    await round();
    const after = await resident();
    growths.push(after - before);
    before = after;
  }
  return Math.min(...growths);
}

read(2000);
const reading = await leastGrowth(() => read(10_000));
await open(250);
const opening = await leastGrowth(() => open(250));
console.log(JSON.stringify({ reading, opening }));
