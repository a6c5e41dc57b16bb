import { readdirSync } from 'node:fs';
import { checkInteger } from '../arguments.js';
import { allocate, libc } from '../ffi/libc.js';
import { readKernelFile } from '../file/read-kernel-file.js';
import { IN_HANDLER, SI_ASYNCNL } from '../signal/signal-forwarder.js';
import { performanceNow } from '../time/at-load.js';

const SYS_RT_TGSIGQUEUEINFO = process.arch === 'arm64' ? 240 : 297;
const SIGINFO_SIZE = 128;

/** How long to wait for the other threads in all, and between two looks, in milliseconds. */
const PATIENCE = 1000;
const PAUSE = 0.05;

const tgsigqueueinfo = libc<(call: number, process: number, thread: number, signo: number, info: Uint8Array) => number>(
  'long syscall(long, long, long, long, void *)',
);

const never = new Int32Array(new SharedArrayBuffer(4));

/**
 * Has all other threads block a signal, each by its own handler, which they are asked to by a signal of that number. What is
 * still on its way through another thread when the former disposition is put back would meet that, and might end the
 * process; from now on the main thread is the only one that takes the signal. New threads inherit the mask.
 *
 * The main thread must have the signal blocked and forwarded, and be the one that calls. A thread that does not get to it in
 * a second blocks it when it does.
 */
export function blockInOtherThreads(signo: number): void {
  checkInteger('signo', signo, 1, 64);
  const info = allocate(SIGINFO_SIZE);
  info.writeInt32LE(signo, 0);
  info.writeInt32LE(SI_ASYNCNL, 8);
  info.writeInt32LE(process.pid, 16);
  const awaited = otherThreads().filter((thread) => !isDone(thread, signo));
  for (const thread of awaited) tgsigqueueinfo(SYS_RT_TGSIGQUEUEINFO, process.pid, thread, signo, info);
  const end = performanceNow() + PATIENCE;
  while (!awaited.every((thread) => isDone(thread, signo)) && performanceNow() < end) Atomics.wait(never, 0, 0, PAUSE);
}

function otherThreads(): number[] {
  return readdirSync('/proc/self/task')
    .map(Number)
    .filter((thread) => thread !== process.pid);
}

/** Whether a thread blocks a signal, and has forwarded all that it took before; or has ended. */
function isDone(thread: number, signo: number): boolean {
  let mask: bigint;
  try {
    const [, text = '0'] = /^SigBlk:\s*(\w+)$/m.exec(readKernelFile(`/proc/self/task/${thread}/status`)) ?? [];
    mask = BigInt(`0x${text}`);
  } catch {
    return true;
  }
  const blocks = (number: number) => ((mask >> BigInt(number - 1)) & 1n) === 1n;
  const [first, second] = IN_HANDLER;
  return blocks(signo) && (!blocks(first) || blocks(second));
}
