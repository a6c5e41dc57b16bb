import koffi from 'koffi';
import { check, isSystemError, SystemError } from '../error/system-error.js';
import { write } from '../fd/fd.js';
import { libc } from '../ffi/libc.js';
import { memoryFile } from './memfd.js';

const PROT_READ = 1;
const PROT_WRITE = 2;
const PROT_EXEC = 4;
const MAP_PRIVATE = 2;
const MAP_ANONYMOUS = 32;

const mmap = libc<
  (address: bigint, size: number, protection: number, flags: number, fd: number, offset: number) => bigint | number
>('intptr_t mmap(intptr_t, size_t, int, int, int, long)');
const mprotect = libc<(address: bigint, size: number, protection: number) => number>(
  'int mprotect(intptr_t, size_t, int)',
);

/**
 * Places machine code in executable memory that stays for the life of the process. Mapping a file, rather than writing
 * to a page and then making it executable, never has a page that is both, and leaves it to the kernel to bring the
 * instruction cache of arm64 up to date.
 * @param name what /proc/self/maps shows
 */
export function loadCode(code: Buffer, name: string): bigint {
  try {
    using file = memoryFile(name);
    write(file.number, code);
    return map(code.length, PROT_READ | PROT_EXEC, MAP_PRIVATE, file.number, name);
  } catch (error) {
    // Files in memory may be forbidden to be executed: vm.memfd_noexec=2.
    if (!isSystemError(error, 'EACCES', 'EPERM')) throw error;
  }
  const address = map(code.length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, name);
  new Uint8Array(koffi.view(address, code.length)).set(code);
  check(mprotect(address, code.length, PROT_READ | PROT_EXEC), 'mprotect', name);
  return address;
}

function map(size: number, protection: number, flags: number, fd: number, name: string): bigint {
  const address = BigInt(mmap(0n, size, protection, flags, fd, 0));
  if (address === -1n) throw SystemError.last('mmap', name);
  return address;
}
