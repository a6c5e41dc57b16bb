import { hash } from '@posthog/siphash';

/**
 * SipHash-2-4 of `bytes` under a key of 16 bytes: 64 bits, as an unsigned number in the hash's own little-endian order.
 * Aumasson and Bernstein, "SipHash: a fast short-input PRF".
 */
export function siphash24(key: Uint8Array, bytes: Uint8Array): bigint {
  const { buffer, byteOffset } = key;
  const words = new DataView(buffer, byteOffset, 16);
  const { h, l } = hash(
    Uint32Array.from([0, 4, 8, 12], (offset) => words.getUint32(offset, true)),
    bytes,
  );
  // The library leaves the sign to its reader.
  return (BigInt(h >>> 0) << 32n) | BigInt(l >>> 0);
}
