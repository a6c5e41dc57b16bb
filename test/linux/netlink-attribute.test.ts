import {
  type Attribute,
  align,
  attribute,
  nested,
  readAttributes,
  readText,
  textAttribute,
  uint32Attribute,
} from '@sdrx/linux';
import fc from 'fast-check';
import t from 'tap';
import { errorCode } from '../support/error-code.js';

const type = () => fc.integer({ min: 0, max: 0x3fff });
const value = () => fc.uint8Array({ maxLength: 300 });
const attributes = () => fc.array(fc.record({ type: type(), value: value() }), { maxLength: 10 });

const plain = (list: readonly Attribute[]) => list.map(({ type, value }) => ({ type, value: [...value] }));
const encode = (list: readonly { type: number; value: Uint8Array }[]) =>
  Buffer.concat(list.map(({ type, value }) => attribute(type, value)));

t.test('what was written is read again, in order', (t) => {
  fc.assert(
    fc.property(attributes(), (list) => {
      t.strictSame(
        plain(readAttributes(encode(list))),
        list.map(({ type, value }) => ({ type, value: [...value] })),
      );
    }),
  );
  t.end();
});

t.test('what is nested is read again', (t) => {
  fc.assert(
    fc.property(type(), attributes(), (outer, list) => {
      const [found, ...others] = readAttributes(
        nested(outer, ...list.map(({ type, value }) => attribute(type, value))),
      );
      t.strictSame([found?.type, others.length], [outer, 0]);
      t.strictSame(plain(readAttributes(found?.value ?? Buffer.alloc(0))), plain(readAttributes(encode(list))));
    }),
  );
  t.end();
});

t.test('each begins at a multiple of 4, filled up with zeros, and tells its length without them', (t) => {
  fc.assert(
    fc.property(type(), value(), (type, value) => {
      const bytes = attribute(type, value);
      t.equal(bytes.length, align(4 + value.length));
      t.equal(bytes.readUInt16LE(0), 4 + value.length);
      t.ok(bytes.subarray(4 + value.length).every((byte) => byte === 0));
    }),
  );
  t.end();
});

t.test('no bytes but an error', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      try {
        const read = readAttributes(Buffer.from(bytes));
        t.ok(read.reduce((size, { value }) => size + 4 + value.length, 0) <= bytes.length);
      } catch (error) {
        t.match(error, { code: 'EBADMSG' });
      }
    }),
  );
  for (const bytes of [[0], [0, 0, 0, 0], [3, 0, 1, 0], [5, 0, 1, 0], [8, 0, 1, 0, 1, 1, 1]]) {
    t.equal(
      errorCode(() => readAttributes(Buffer.from(bytes))),
      'EBADMSG',
      String(bytes),
    );
  }
  t.end();
});

t.test('texts and numbers look as the kernel wants them', (t) => {
  t.equal(textAttribute(3, 'veth0').toString('hex'), '0a0003007665746830000000');
  t.equal(uint32Attribute(28, 0x01020304).toString('hex'), '08001c0004030201');
  t.equal(uint32Attribute(28, 2 ** 32 - 1).toString('hex'), '08001c00ffffffff');
  t.equal(nested(18, textAttribute(1, 'a')).toString('hex'), '0c0012800600010061000000');
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 100 }), (text) => {
      fc.pre(!text.includes('\0') && !/[\ud800-\udfff]/.test(text));
      t.equal(readText(readAttributes(textAttribute(1, text))[0]?.value ?? Buffer.alloc(0)), text);
    }),
  );
  t.equal(readText(Buffer.from('abc')), 'abc', 'also without an ending NUL');
  t.end();
});

t.test('one that is too long is an error, and so is a text with a NUL', (t) => {
  t.equal(attribute(1, Buffer.alloc(65_531)).readUInt16LE(0), 65_535);
  t.equal(
    errorCode(() => attribute(1, Buffer.alloc(65_532))),
    'EMSGSIZE',
  );
  t.equal(
    errorCode(() => textAttribute(1, 'a\0b')),
    'EINVAL',
  );
  t.end();
});
