import { checkInteger } from '../arguments.js';
import { readKernelFile } from '../file/read-kernel-file.js';

export const CAP_SYS_PTRACE = 19;
export const CAP_SYS_ADMIN = 21;
export const CAP_SYS_TIME = 25;
export const CAP_PERFMON = 38;
export const CAP_BPF = 39;

/** Whether the calling thread may use a privilege now: whether it is in its effective set. capabilities(7). */
export function hasCapability(capability: number): boolean {
  checkInteger('capability', capability, 0, 63);
  const [, effective = '0'] = /^CapEff:\s*(\w+)$/m.exec(readKernelFile('/proc/thread-self/status')) ?? [];
  return ((BigInt(`0x${effective}`) >> BigInt(capability)) & 1n) === 1n;
}
