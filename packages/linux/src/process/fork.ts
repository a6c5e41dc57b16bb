import { check } from '../error/system-error.js';
import { addressOf, allocate, libc } from '../ffi/libc.js';

const MADV_WIPEONFORK = 18;
const SC_PAGESIZE = 30;

const madvise = libc<(address: bigint, size: number, advice: number) => number>('int madvise(intptr_t, size_t, int)');
const sysconf = libc<(name: number) => number>('long sysconf(int)');

/** A byte that is 1 here and 0 in every process that was forked from this one: to look at it costs no system call. */
function forkDetector(): Buffer {
  const page = sysconf(SC_PAGESIZE);
  const memory = allocate(2 * page);
  const offset = page - Number(addressOf(memory) % BigInt(page));
  check(madvise(addressOf(memory) + BigInt(offset), page, MADV_WIPEONFORK), 'madvise');
  const whole = memory.subarray(offset, offset + page);
  whole[0] = 1;
  return whole;
}

const detector = forkDetector();

/** Whether this process was forked, without an execve(2), from the one that loaded this module. madvise(2) MADV_WIPEONFORK. */
export function isForked(): boolean {
  return detector[0] === 0;
}
