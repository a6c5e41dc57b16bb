import { BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_RINGBUF, BpfMap, RingBuffer } from '@sdrx/bpf';
import { EventLoop } from '@sdrx/event';
import { firstValueFrom, map, take, toArray } from 'rxjs';
import t from 'tap';
import { onLoop } from '../event/on-loop.js';
import { leavingNothing } from '../support/nothing-left.js';
import { needsRoot } from '../support/privileges.js';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';
import { until } from '../support/until.js';
import { GIVE_UP, loadPackets, needsPrograms, run, WRITE, WRITE_NOTHING, writeRecord } from './packets.js';

/** How many records of 1 to 8 bytes a ring of one page has room for: each has a header of 8. */
const CAPACITY = 4096 / 16;

const EAGAIN = 11;

const textsOf = (ring: RingBuffer) => [...ring.read()].map(String);

t.test(
  'records come as they are written, in order, of any length',
  needsPrograms,
  onLoop(async (t, loop) => {
    using object = loadPackets();
    const lengths = [1, 7, 8, 9, 100, 1000];
    const records = object.ringBuffer('records').records(loop).pipe(map(String), take(lengths.length), toArray());
    const told = firstValueFrom(records);
    const texts = lengths.map((length) => String(length % 10).repeat(length));
    for (const text of texts) t.ok(writeRecord(object, text));
    t.strictSame(await told, texts);
  }),
);

t.test(
  'a record can be read where it lies, as numbers too',
  needsPrograms,
  leavingNothing((t) => {
    using object = loadPackets();
    const numbers = new Float64Array([1.5, 2.5, 3.5]);
    for (let count = 0; count < 3; count++) writeRecord(object, new Uint8Array(numbers.buffer));
    for (const record of object.ringBuffer('records').read()) {
      t.strictSame(new Float64Array(record.buffer, record.byteOffset, record.byteLength / 8), numbers);
    }
  }),
);

t.test(
  'records may be empty, and those that their writer gave up are left out',
  needsPrograms,
  leavingNothing((t) => {
    using object = loadPackets();
    writeRecord(object, 'first');
    t.equal(run(object, GIVE_UP), 0);
    t.equal(run(object, WRITE_NOTHING), 0);
    writeRecord(object, 'last');
    t.strictSame(textsOf(object.ringBuffer('records')), ['first', '', 'last']);
    t.equal(run(object, GIVE_UP), 0);
    t.strictSame(textsOf(object.ringBuffer('records')), []);
  }),
);

t.test(
  'the ring goes round and round, and records at its end are in one piece',
  needsPrograms,
  leavingNothing((t) => {
    using object = loadPackets();
    const ring = object.ringBuffer('records');
    for (let round = 0; round < 100; round++) {
      const texts = [1, 2, 3].map((part) => `${round}.${part} `.repeat(60));
      for (const text of texts) t.ok(writeRecord(object, text));
      t.strictSame(textsOf(ring), texts);
    }
  }),
);

t.test(
  'when it is full, writers are told; read, there is room again',
  needsPrograms,
  onLoop(async (t, loop) => {
    using object = loadPackets();
    let written = 0;
    while (writeRecord(object, `n${written}`)) written++;
    t.equal(written, CAPACITY - 1);
    t.equal(run(object, WRITE, Buffer.from('lost')), -EAGAIN);

    const records = object.ringBuffer('records').records(loop).pipe(map(String));
    const texts = await firstValueFrom(records.pipe(take(written), toArray()));
    t.strictSame(
      texts,
      Array.from({ length: written }, (_, index) => `n${index}`),
    );
    t.ok(writeRecord(object, 'anew'));
    t.equal(await firstValueFrom(records), 'anew');
  }),
);

t.test(
  'a record has its place until its observer returns',
  needsPrograms,
  leavingNothing((t) => {
    using object = loadPackets();
    const ring = object.ringBuffer('records');
    while (writeRecord(object, 'x'));
    const records = ring.read();
    t.equal(String(records.next().value), 'x');
    t.notOk(writeRecord(object, 'y'), 'it is still there');
    records.next();
    t.ok(writeRecord(object, 'y'));
    records.return();
    t.equal(textsOf(ring).length, CAPACITY - 2, 'a reader who stops early leaves the others');
  }),
);

t.test(
  'what was looked at is there until it is given back',
  needsPrograms,
  leavingNothing((t) => {
    using object = loadPackets();
    const ring = object.ringBuffer('records');
    t.strictSame(ring.peek().records, []);
    ring.peek().consume();
    writeRecord(object, 'one');
    writeRecord(object, 'two');
    const { records, consume } = ring.peek();
    writeRecord(object, 'three');
    t.strictSame(records.map(String), ['one', 'two']);
    t.strictSame(ring.peek().records.map(String), ['one', 'two', 'three']);
    consume();
    t.strictSame(textsOf(ring), ['three']);
  }),
);

t.test(
  'an error of the observer ends the subscription; the record counts as read, the next ones do not',
  needsPrograms,
  onLoop(async (t, loop) => {
    using object = loadPackets();
    const ring = object.ringBuffer('records');
    for (const text of ['good', 'bad', 'next']) writeRecord(object, text);
    const seen: string[] = [];
    const error = await new Promise((resolve) => {
      ring
        .records(loop)
        .pipe(
          map((record) => {
            seen.push(String(record));
            if (String(record) === 'bad') throw new Error('what a record');
          }),
        )
        .subscribe({ error: resolve });
    });
    t.match(error, { message: 'what a record' });
    t.strictSame(seen, ['good', 'bad']);
    t.strictSame(textsOf(ring), ['next']);
  }),
);

t.test(
  'nobody listens: the loop sleeps, and nothing is lost',
  needsPrograms,
  onLoop(async (t, loop) => {
    using object = loadPackets();
    const ring = object.ringBuffer('records');
    writeRecord(object, 'early');
    const before = loop.iteration;
    await firstValueFrom(loop.time({ after: 5 }));
    t.ok(loop.iteration - before <= 2);
    t.equal(await firstValueFrom(ring.records(loop).pipe(map(String))), 'early');
  }),
);

t.test(
  'two readers of rings take turns by priority',
  needsPrograms,
  onLoop(async (t, loop) => {
    using first = loadPackets();
    using second = loadPackets();
    writeRecord(first, 'low');
    writeRecord(second, 'high');
    const order: string[] = [];
    const low = first.ringBuffer('records').records(loop, { priority: 10 });
    const high = second.ringBuffer('records').records(loop, { priority: -10 });
    const subscriptions = [low, high].map((records) => records.subscribe((record) => order.push(String(record))));
    await until(() => order.length === 2);
    for (const subscription of subscriptions) subscription.unsubscribe();
    t.strictSame(order, ['high', 'low']);
  }),
);

t.test(
  'a record that is kept longer than it lasts is another one later, then zero, but never a crash',
  needsPrograms,
  leavingNothing((t) => {
    const object = loadPackets();
    const ring = object.ringBuffer('records');
    writeRecord(object, 'kept');
    const [kept] = ring.peek().records;
    t.equal(String(kept), 'kept');
    object[Symbol.dispose]();
    t.strictSame(kept, Buffer.alloc(4));
    t.strictSame([...ring.read()], [], 'nothing to read any more');
    ring.peek().consume();
  }),
);

t.test(
  'another kind of map is no ring buffer',
  needsRoot,
  leavingNothing((t) => {
    using hash = BpfMap.create({ type: BPF_MAP_TYPE_HASH, keySize: 4, valueSize: 4, maxEntries: 1 });
    t.throws(() => new RingBuffer(hash), { code: 'EINVAL', syscall: 'ring_buffer' });
  }),
);

t.test(
  'a ring buffer whose map is closed goes on',
  needsPrograms,
  leavingNothing((t) => {
    using object = loadPackets();
    const other = BpfMap.byId(object.map('records').id);
    using ring = new RingBuffer(other);
    other[Symbol.dispose]();
    writeRecord(object, 'text');
    t.strictSame(textsOf(ring), ['text']);
  }),
);

/** Options for a test that takes an emulated machine minutes, and says nothing of its kernel. */
const notEmulated =
  process.env.SDRX_VM === undefined
    ? needsPrograms
    : { skip: 'what JavaScript takes is the same outside of the machine' };

t.test('reading and opening take no memory in the long run', notEmulated, async (t) => {
  const { output, exit } = runNode(['--expose-gc', programPath('./programs/ring-memory.js', import.meta.url)]);
  t.match(exit, { code: 'exited', status: 0 });
  const { reading, opening } = JSON.parse(output);
  t.ok(reading < 300_000, `reading takes ${reading} bytes in every 10,000 records`);
  t.ok(opening < 300_000, `opening takes ${opening} bytes in every 250 ring buffers`);
});

t.test(
  'a loop that ends completes the reader',
  needsRoot,
  leavingNothing(async (t) => {
    using ringMap = BpfMap.create({ type: BPF_MAP_TYPE_RINGBUF, keySize: 0, valueSize: 0, maxEntries: 4096 });
    using ring = new RingBuffer(ringMap);
    using loop = new EventLoop();
    const end = new Promise<void>((complete) => ring.records(loop).subscribe({ complete }));
    loop.defer().subscribe(() => loop.exit());
    await loop.run();
    await end;
    t.pass();
  }),
);
