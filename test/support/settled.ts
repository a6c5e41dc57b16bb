import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { signalMask } from './signal-status.js';

/**
 * Resolves when a process has dealt with all signals that it was sent and has nothing left to do: no signal is pending
 * and all its threads sleep, twice in a row, since threads can't be looked at all at once. What it did not do by then it
 * won't do.
 */
export async function settled(pid: number): Promise<void> {
  for (let calm = 0; calm < 2; calm = isCalm(pid) ? calm + 1 : 0) await setTimeout(3);
}

function isCalm(pid: number): boolean {
  return readdirSync(`/proc/${pid}/task`).every((tid) => {
    const status = readFileSync(`/proc/${pid}/task/${tid}/status`, 'ascii');
    return /^State:\s*S/m.test(status) && signalMask('SigPnd', status) === 0n && signalMask('ShdPnd', status) === 0n;
  });
}
