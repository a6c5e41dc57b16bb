import { siphash24 } from '@sdrx/daemon';
import t from 'tap';

const key = Uint8Array.from({ length: 16 }, (_, index) => index);
const bytes = (length: number) => Uint8Array.from({ length }, (_, index) => index);

t.test('agrees with the vectors that the authors of SipHash publish', async (t) => {
  t.equal(siphash24(key, bytes(0)), 0x726fdb47dd0e0e31n);
  t.equal(siphash24(key, bytes(1)), 0x74f839c593dc67fdn);
  t.equal(siphash24(key, bytes(8)), 0x93f5f5799a932462n);
  t.equal(siphash24(key, bytes(15)), 0xa129ca6149be45e5n);
  t.equal(siphash24(key, bytes(63)), 0x958a324ceb064572n);
});

t.test('takes a key from the middle of a buffer', async (t) => {
  const buffer = Uint8Array.from([255, ...key, 255]);
  t.equal(siphash24(buffer.subarray(1, 17), bytes(15)), 0xa129ca6149be45e5n);
});
