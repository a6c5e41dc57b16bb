import { readdirSync, readFileSync } from 'node:fs';
import { allocate, libc } from './libc.js';
import { SIGRTMIN } from './signal.js';
import { SI_ASYNCNL } from './signal-forwarder.js';
import { isEcho, type SignalFd, type SignalInfo } from './signalfd.js';

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
 * Has all other threads block a signal, each by its own handler: they are sent one, which `forwardToMainThread` has them
 * forward. What is still on its way through another thread when the former disposition is put back would meet that, and
 * might end the process; from now on the main thread is the only one that takes the signal. New threads inherit the mask.
 *
 * The main thread must have the signal blocked and forwarded, and be the one that calls. A thread that does not get to it in
 * a second blocks it later, or when it has forwarded one.
 * @param fd receives the signal
 * @returns what came in meanwhile
 */
export function blockInOtherThreads(signo: number, fd: SignalFd): SignalInfo[] {
  const info = allocate(SIGINFO_SIZE);
  info.writeInt32LE(signo, 0);
  info.writeInt32LE(SI_ASYNCNL, 8);
  info.writeInt32LE(process.pid, 16);
  const received: SignalInfo[] = [];
  const end = performance.now() + PATIENCE;
  const threads = otherThreads().filter((thread) => state(thread, signo) === 'open');
  const isQueued = signo >= SIGRTMIN;
  // Of a signal that is not a real-time one only one can be pending: then one thread after another.
  const groups = isQueued ? [threads] : threads.map((thread) => [thread]);
  for (const group of groups) {
    const asked = group.filter(
      (thread) => tgsigqueueinfo(SYS_RT_TGSIGQUEUEINFO, process.pid, thread, signo, info) === 0,
    );
    let echoes = 0;
    let heard = false;
    for (;;) {
      for (const signal of fd.readAll()) {
        heard = true;
        if (isEcho(signal)) echoes++;
        else received.push(signal);
      }
      // One that was pending already stands for the echo, too.
      const without = isQueued || !heard ? ['ended'] : ['ended', 'blocked'];
      if (echoes >= asked.length) break;
      if (echoes + asked.filter((thread) => without.includes(state(thread, signo))).length >= asked.length) break;
      if (performance.now() > end) return received;
      Atomics.wait(never, 0, 0, PAUSE);
    }
  }
  return received;
}

function otherThreads(): number[] {
  return readdirSync('/proc/self/task')
    .map(Number)
    .filter((thread) => thread !== process.pid);
}

/** Whether a thread takes a signal. */
function state(thread: number, signo: number): 'open' | 'blocked' | 'ended' {
  try {
    const [, mask = '0'] = /^SigBlk:\s*(\w+)$/m.exec(readFileSync(`/proc/self/task/${thread}/status`, 'ascii')) ?? [];
    return (BigInt(`0x${mask}`) >> BigInt(signo - 1)) & 1n ? 'blocked' : 'open';
  } catch {
    return 'ended';
  }
}
