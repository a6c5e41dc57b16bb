import { readFileSync } from 'node:fs';

/** The signal masks of proc_pid_status(5): pending, blocked, ignored, caught. */
export type SignalMask = 'SigPnd' | 'ShdPnd' | 'SigBlk' | 'SigIgn' | 'SigCgt';

/** One of the signal masks in the text of a status file, as a number with bit n − 1 set for signal n. */
export function signalMask(mask: SignalMask, status = readFileSync('/proc/thread-self/status', 'ascii')): bigint {
  const [, hex] = new RegExp(`^${mask}:\\s*([0-9a-f]+)$`, 'm').exec(status) ?? [];
  if (hex === undefined) throw new Error(`no ${mask} in the status`);
  return BigInt(`0x${hex}`);
}

/** Whether signal `signo` is in one of this thread's masks. */
export function hasSignal(mask: SignalMask, signo: number): boolean {
  return ((signalMask(mask) >> BigInt(signo - 1)) & 1n) === 1n;
}
