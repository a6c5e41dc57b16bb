import { checkBytes } from '../arguments.js';
import { addressOf, libc } from '../ffi/libc.js';

const MADV_DONTNEED = 4;
const SC_PAGESIZE = 30;

const madvise = libc<(address: bigint, size: number, advice: number) => number>('int madvise(intptr_t, size_t, int)');
const sysconf = libc<(name: number) => number>('long sysconf(int)');

const PAGE = sysconf(SC_PAGESIZE);

/**
 * Gives the memory of a Buffer back to the kernel at once, all pages that are wholly its own; the garbage collector would do
 * so at a time of its own choice. What the Buffer held is lost. madvise(2) MADV_DONTNEED
 */
export function discard(buffer: Buffer): void {
  checkBytes('buffer', buffer);
  if (buffer.length < PAGE) return;
  const start = addressOf(buffer);
  const before = Number(start % BigInt(PAGE));
  const skipped = before === 0 ? 0 : PAGE - before;
  const size = Math.floor((buffer.length - skipped) / PAGE) * PAGE;
  if (size > 0) madvise(start + BigInt(skipped), size, MADV_DONTNEED);
}
