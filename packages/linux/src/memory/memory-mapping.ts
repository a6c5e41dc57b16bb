import koffi from 'koffi';
import { checkFd, checkInteger, checkMask, checkText } from '../arguments.js';
import { SystemError } from '../error/system-error.js';
import { errno, libc } from '../ffi/libc.js';

export const PROT_READ = 1;
export const PROT_WRITE = 2;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;

const mmap = libc<
  (address: bigint, size: number, protection: number, flags: number, fd: number, offset: number) => bigint | number
>('intptr_t mmap(intptr_t, size_t, int, int, int, long)');
const munmap = libc<(address: bigint, size: number) => number>('int munmap(intptr_t, size_t)');

/** The size of a page of memory, in bytes: what offsets and sizes of mappings are multiples of. */
export const PAGE_SIZE = libc<() => number>('int getpagesize()')();

/** Unmaps what nobody can look at any more. */
const unreachable = new FinalizationRegistry<() => void>((unmap) => unmap());

/**
 * A part of a file in memory, shared with all who map it. mmap(2) MAP_SHARED.
 *
 * Views of it may outlive it, and must not end the process: its place in the address space is kept until the last one is
 * collected, filled with zeros.
 */
export class MemoryMapping implements Disposable {
  readonly bytes: ArrayBuffer;
  readonly #address: bigint;
  readonly #size: number;
  #open = true;

  /**
   * @param fd stays the caller's, who may close it right after
   * @param offset where the part begins, in bytes, a multiple of PAGE_SIZE
   * @param size in bytes; what lies beyond the end of the file must not be touched: that ends the process by SIGBUS
   * @param protection PROT_READ, PROT_WRITE
   * @param what the file is, for errors.
   * @throws EACCES, EBADF, EINVAL, ENODEV, ENOMEM
   */
  constructor(fd: number, offset: number, size: number, protection: number, what: string) {
    checkFd(fd);
    checkInteger('offset', offset, 0);
    checkInteger('size', size, 0);
    checkMask('protection', protection);
    checkText('what', what);
    const address = BigInt(mmap(0n, size, protection, MAP_SHARED, fd, offset));
    if (address === -1n) throw new SystemError(errno(), 'mmap', what);
    this.bytes = koffi.view(address, size);
    this.#address = address;
    this.#size = size;
    unreachable.register(this.bytes, () => munmap(address, size));
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    mmap(this.#address, this.#size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  }
}
