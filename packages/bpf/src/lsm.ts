import { allocate, libc, readKernelFile } from '@sdrx/linux';

const LIST = '/sys/kernel/security/lsm';
const LSM_LIST_MODULES = 461;
const LSM_ID_BPF = 109n;

const syscall = libc<(number: number, ids: Uint8Array, size: Uint8Array, flags: number) => number>(
  'long syscall(long, void *, void *, uint)',
);

/** Whether BPF is among the kernel's active security modules; undefined if the kernel does not tell. */
export function hasBpfLsm(): boolean | undefined {
  try {
    return readKernelFile(LIST).trim().split(',').includes('bpf');
  } catch {
    // securityfs is not mounted, or not for us.
    return activeModules()?.includes(LSM_ID_BPF);
  }
}

/** The ids of the active security modules; undefined before Linux 6.8. lsm_list_modules(2). */
function activeModules(): bigint[] | undefined {
  const ids = allocate(512);
  const size = allocate(4);
  size.writeUInt32LE(ids.byteLength);
  const count = syscall(LSM_LIST_MODULES, ids, size, 0);
  return count === -1 ? undefined : Array.from({ length: count }, (_, index) => ids.readBigUInt64LE(index * 8));
}
