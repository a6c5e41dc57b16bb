import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { addressOf, allocate, errno, libc } from '@sdrx/linux';
import t from 'tap';

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

t.test('allocated memory is zeroed and stays where it is while garbage is collected', (t) => {
  const buffers = Array.from({ length: 200 }, (_, index) => allocate(index + 1));
  const addresses = buffers.map(addressOf);
  collectGarbage();
  collectGarbage();
  t.strictSame(buffers.map(addressOf), addresses);
  t.ok(buffers.every((buffer) => buffer.every((byte) => byte === 0)));
  t.end();
});

t.test('the address of a part of a buffer is that of its first byte', (t) => {
  const buffer = allocate(64);
  t.equal(addressOf(buffer.subarray(16)) - addressOf(buffer), 16n);
  t.equal(addressOf(new Uint32Array(buffer.buffer, buffer.byteOffset + 8, 2)) - addressOf(buffer), 8n);
  t.end();
});

t.test('a string reaches C as UTF-8', (t) => {
  const strnlen = libc<(text: string, size: number) => number>('size_t strnlen(const char *, size_t)');
  for (const text of ['', 'plain', 'Überänderung', '漢字', '😀', 'x'.repeat(200_000)]) {
    t.equal(strnlen(text, 1_000_000), Buffer.byteLength(text), text.slice(0, 20));
  }
  t.end();
});

t.test('errno is what the last call left, whatever garbage there is', (t) => {
  const close = libc<(fd: number) => number>('int close(int)');
  const found = new Map<number, number>();
  for (let round = 0; round < 100_000; round++) {
    Buffer.alloc(1000);
    close(-1);
    const error = errno();
    found.set(error, (found.get(error) ?? 0) + 1);
  }
  t.strictSame([...found], [[9, 100_000]]);
  t.end();
});
