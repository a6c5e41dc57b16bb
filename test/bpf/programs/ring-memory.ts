/** Says how much more memory the process has after reading many records, and after opening many ring buffers. */
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

read(2000);
const first = await resident();
read(10_000);
const reading = (await resident()) - first;
await open(250);
const second = await resident();
await open(500);
console.log(JSON.stringify({ reading, opening: (await resident()) - second }));
