import { check } from '../error/system-error.js';
import { allocate, libc } from '../ffi/libc.js';

const RLIMIT_NOFILE = 7;

const getrlimit = libc<(resource: number, limit: Uint8Array) => number>('int getrlimit(int, void *)');

const limit = allocate(16);

/** How many descriptors this process may have: numbers go up to one less. It may change. getrlimit(2) RLIMIT_NOFILE */
export function descriptorLimit(): number {
  check(getrlimit(RLIMIT_NOFILE, limit), 'getrlimit');
  return Number(limit.readBigUInt64LE(0));
}
