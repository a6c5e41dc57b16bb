import { addressOf, allocate, discard } from '@sdrx/linux';
import t from 'tap';
import { privateDirty } from '../support/private-dirty.js';

const PAGE = 4096;
const MEGABYTE = 1 << 20;

t.test('the memory of a buffer is given back, though there is still a reference to it', (t) => {
  const buffer = allocate(64 * MEGABYTE).fill(1);
  const before = privateDirty(process.pid);
  discard(buffer);
  t.ok(before - privateDirty(process.pid) > 60 * 1024);
  t.equal(buffer.length, 64 * MEGABYTE);
  buffer.fill(2);
  t.equal(buffer[MEGABYTE], 2, 'it may be used again');
  t.end();
});

t.test('only whole pages that are its own: what lies beside keeps its content', (t) => {
  const memory = allocate(10 * PAGE).fill(7);
  const start = Number(addressOf(memory) % BigInt(PAGE));
  for (const [from, to] of [
    [1, 3 * PAGE],
    [PAGE - start, 2 * PAGE - start],
    [PAGE - start - 1, 3 * PAGE - start + 1],
    [0, 100],
    [5, 5],
  ] as const) {
    memory.fill(7);
    discard(memory.subarray(from, to));
    t.ok(memory.subarray(0, from).every((byte) => byte === 7));
    t.ok(memory.subarray(to).every((byte) => byte === 7));
  }
  t.end();
});
