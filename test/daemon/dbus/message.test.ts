import { decodeAnswer, HEAD_SIZE, MalformedMessageError, messageSize, WireReader, WireWriter } from '@sdrx/daemon';
import fc from 'fast-check';
import t from 'tap';

/** Text without NUL that UTF-8 can have. */
const text = fc.string({ unit: 'grapheme' }).filter((value) => !value.includes('\0'));

/** An answer to call 7, of type `u`, whose value is 9, byte by byte; of big ends first. */
const BIG = Buffer.from(
  '4202000100000004000000050000000f' + // B, answer, no flags, version 1; body of 4 bytes, serial 5, fields of 15
    '0501750000000007' + // the number of the call, u
    '0801670001750000' + // the signature, g: 'u', and what aligns the body
    '00000009',
  'hex',
);

/** The same, of little ends first. */
const LITTLE = Buffer.from(
  '6c02000104000000050000000f000000' + '0501750007000000' + '0801670001750000' + '09000000',
  'hex',
);

t.test('what is written is read as it was', (t) => {
  const values = fc.array(fc.oneof(text, fc.nat(0xffff_ffff), fc.boolean()), { maxLength: 20 });
  fc.assert(
    fc.property(values, fc.nat(7), (values, offset) => {
      const writer = new WireWriter();
      for (let count = 0; count < offset; count++) writer.byte(count);
      for (const value of values) typeof value === 'string' ? writer.string(value) : writer.uint32(Number(value));
      const reader = new WireReader(writer.bytes, true, offset);
      const read = values.map((value) => {
        if (typeof value === 'string') return reader.string();
        return typeof value === 'boolean' ? reader.boolean() : reader.uint32();
      });
      return String(read) === String(values) && reader.position === writer.bytes.length;
    }),
  );
  t.throws(() => new WireWriter().string('a\0b'), { name: 'RangeError' }, 'but a text with NUL');
  t.end();
});

t.test('an answer is read, of either byte order', (t) => {
  for (const bytes of [BIG, LITTLE]) {
    t.equal(messageSize(bytes.subarray(0, HEAD_SIZE)), bytes.length);
    const answer = decodeAnswer(bytes);
    t.match(answer, { replySerial: 7, error: undefined, signature: 'u' });
    t.equal(answer?.body.uint32(), 9);
  }
  t.end();
});

t.test('what is no answer is none', (t) => {
  for (const type of [0, 1, 4, 5]) {
    const message = Buffer.from(LITTLE);
    message[1] = type;
    t.equal(decodeAnswer(message), undefined);
  }
  t.end();
});

t.test('an answer that lacks something is malformed', (t) => {
  const error = Buffer.from(LITTLE);
  error[1] = 3;
  t.throws(() => decodeAnswer(error), MalformedMessageError, 'the name of an error');
  const nameless = Buffer.from(LITTLE);
  nameless[HEAD_SIZE] = 10;
  t.throws(() => decodeAnswer(nameless), MalformedMessageError, 'the number of the call');
  const odd = Buffer.from(LITTLE);
  odd[HEAD_SIZE + 2] = 0x76;
  t.throws(() => decodeAnswer(odd), MalformedMessageError, 'a field of a known type');
  for (let size = HEAD_SIZE; size < LITTLE.length - 8; size++) {
    t.throws(() => decodeAnswer(LITTLE.subarray(0, size)), MalformedMessageError, `all but ${size} bytes`);
  }
  const boolean = new WireReader(Buffer.from([2, 0, 0, 0]), true);
  t.throws(() => boolean.boolean(), MalformedMessageError, 'a boolean');
  t.throws(() => new WireReader(Buffer.from([1, 0, 0, 0, 65, 66]), true).string(), MalformedMessageError, 'a NUL');
  t.end();
});

t.test('of a head that is none the size is unknown', (t) => {
  for (const [at, byte] of [
    [0, 0x4c],
    [3, 2],
  ] as const) {
    const head = Buffer.from(LITTLE);
    head[at] = byte;
    t.throws(() => messageSize(head), MalformedMessageError);
  }
  t.end();
});

t.test('whatever bytes come are a message or malformed', (t) => {
  const flipped = fc
    .tuple(fc.constantFrom(BIG, LITTLE), fc.array(fc.tuple(fc.nat(LITTLE.length - 1), fc.nat(255)), { maxLength: 4 }))
    .map(([message, changes]) => {
      const bytes = Buffer.from(message);
      for (const [at, byte] of changes) bytes[at] = byte;
      return bytes;
    });
  const anything = fc.uint8Array({ minLength: HEAD_SIZE, maxLength: 100 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(fc.oneof(flipped, anything), (bytes) => {
      for (const body of [() => messageSize(bytes), () => decodeAnswer(bytes)]) {
        try {
          body();
        } catch (error) {
          if (!(error instanceof MalformedMessageError)) throw error;
        }
      }
    }),
    { numRuns: 2000 },
  );
  t.end();
});
