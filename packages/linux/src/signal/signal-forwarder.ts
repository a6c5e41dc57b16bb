import { checkFd, checkInteger } from '../arguments.js';
import { check } from '../error/system-error.js';
import { allocate, libc } from '../ffi/libc.js';
import { loadCode } from '../memory/load-code.js';
import { signalNumber } from './signal.js';

/*
 * Node's V8 and thread-pool threads block no signal: whatever the main thread blocks, the kernel hands to one of them, and
 * the default action ends the process. So the signal gets a handler that sends it on to the main thread with
 * rt_tgsigqueueinfo(2), siginfo and all. There it stays pending, blocked, for a signalfd.
 *
 * That wakes another thread for each signal. But a handler may change the mask that its thread goes on with: ours adds the
 * signal. So each thread forwards it once at most; when all block it, which `blockInOtherThreads` sees to, it stays pending
 * for the process, and the signalfd finds it there. Such a thread blocks the signal for good, which leaves it to the main
 * thread, whoever listens then.
 *
 * A handler can run at any moment in a thread that is not JavaScript's, so it can't be JavaScript; it is the one system
 * call, in machine code. It touches nothing but registers and its own siginfo, hence is safe wherever it interrupts
 * (signal-safety(7)).
 *
 * The kernel lets a thread send another one only what sigqueue(3) could have sent: it refuses the codes of kill(2),
 * tgkill(2) and of its own signals. So the handler puts the code where the error number is, which Linux leaves unused, and
 * in its place one that is let through, SI_ASYNCNL, which only getaddrinfo_a(3) sends otherwise. One that has this code
 * when the handler gets it, and this process as its sender, asks for no more than the mask: it is not sent on.
 */

export const SA_SIGINFO = 0x4;
export const SA_RESTART = 0x1000_0000;
export const SIGACTION_SIZE = 152;
export const SIGACTION_MASK = 8;
export const SIGACTION_FLAGS = 136;

/** The code of what is forwarded, and of the request to block the signal. */
export const SI_ASYNCNL = -60;

/** A thread in the handler blocks the first but not the second, which nobody else does: one blocks both, or none. */
export const IN_HANDLER = [signalNumber('SIGFPE'), signalNumber('SIGSEGV')] as const;

export const sigactionCall = libc<(signo: number, action: Uint8Array | null, old: Uint8Array | null) => number>(
  'int sigaction(int, const void *, void *)',
);
const gettid = libc<() => number>('int gettid()');

/**
 * `void handler(int signo, siginfo_t *info, ucontext_t *context)`: adds the signal to the context's mask and, unless it is
 * a request to do so, moves the code, then rt_tgsigqueueinfo(tgid, tid, signo, info).
 */
function handlerCode(tgid: number, tid: number): Buffer {
  switch (process.arch) {
    case 'x64': {
      const code = Buffer.from(
        '8d4fff' + // lea ecx, [rdi-1]
          '480fab8a28010000' + // bts [rdx+296], rcx   uc_sigmask
          '8b4608' + // mov eax, [rsi+8]               code
          '83f8c4' + // cmp eax, -60
          '7509' + // jne forward
          '817e1000000000' + // cmp dword [rsi+16], tgid
          '7420' + // je return
          // forward:
          '894604' + // mov [rsi+4], eax               errno
          'c74608c4ffffff' + // mov dword [rsi+8], -60
          '89fa' + // mov edx, edi                     signo
          '4989f2' + // mov r10, rsi                   info
          'bf00000000' + // mov edi, tgid
          'be00000000' + // mov esi, tid
          'b829010000' + // mov eax, 297
          '0f05' + // syscall
          // return:
          'c3', // ret
        'hex',
      );
      code.writeInt32LE(tgid, 22);
      code.writeInt32LE(tgid, 44);
      code.writeInt32LE(tid, 49);
      return code;
    }
    case 'arm64': {
      const halves = (register: number, value: number) => [
        0x52800000 | ((value & 0xffff) << 5) | register, // movz w<register>, low half
        0x72a00000 | ((value >>> 16) << 5) | register, // movk w<register>, high half, lsl 16
      ];
      const instructions = [
        0x51000404, // sub w4, w0, #1
        0xd2800025, // mov x5, #1
        0x9ac420a5, // lsl x5, x5, x4
        0xf9401444, // ldr x4, [x2, #40]       uc_sigmask
        0xaa050084, // orr x4, x4, x5
        0xf9001444, // str x4, [x2, #40]
        0x2a0003e2, // mov w2, w0              signo
        ...halves(0, tgid),
        0xb9400824, // ldr w4, [x1, #8]        code
        0x3100f09f, // cmn w4, #60
        0x54000081, // b.ne forward
        0xb9401025, // ldr w5, [x1, #16]       sender
        0x6b0000bf, // cmp w5, w0
        0x54000120, // b.eq return
        // forward:
        0xb9000424, // str w4, [x1, #4]        errno
        0x12800764, // mov w4, #-60
        0xb9000824, // str w4, [x1, #8]
        0xaa0103e3, // mov x3, x1              info
        ...halves(1, tid),
        0xd2801e08, // mov x8, 240
        0xd4000001, // svc 0
        // return:
        0xd65f03c0, // ret
      ];
      const code = Buffer.alloc(instructions.length * 4);
      instructions.forEach((instruction, index) => {
        code.writeUInt32LE(instruction >>> 0, index * 4);
      });
      return code;
    }
    default:
      throw new Error(`signals can't be received on ${process.arch}: the handler exists for x64 and arm64 only`);
  }
}

/** The code that a signal was sent with, from the code and the error number of one that may have been forwarded. */
export function originalCode(code: number, errno: number): number {
  checkFd(code, 'code');
  checkFd(errno, 'errno');
  return code === SI_ASYNCNL ? errno : code;
}

let handler: bigint | undefined;

/** Whether the calling thread is the process's main thread, to which signals are forwarded. */
export function isMainThread(): boolean {
  return gettid() === process.pid;
}

/**
 * From now on every thread that receives `signo` sends it on to the main thread, which must have it blocked. Nothing is lost up
 * to RLIMIT_SIGPENDING; the order among several is not kept. sigaction(2).
 * @returns a function that puts the previous disposition back, unless another one was set since
 * @throws EINVAL for SIGKILL, SIGSTOP
 */
export function forwardToMainThread(signo: number): () => void {
  checkInteger('signo', signo, 1, 64);
  handler ??= loadCode(handlerCode(process.pid, process.pid), 'signal-forwarder');
  const action = allocate(SIGACTION_SIZE);
  const previous = allocate(SIGACTION_SIZE);
  action.writeBigUInt64LE(handler, 0);
  action.writeBigUInt64LE(1n << BigInt(IN_HANDLER[0] - 1), SIGACTION_MASK);
  action.writeInt32LE(SA_SIGINFO | SA_RESTART, SIGACTION_FLAGS);
  check(sigactionCall(signo, action, previous), 'sigaction', signo);
  return () => putBack(signo, action, previous);
}

/** Puts a previous disposition back in the place of ours. */
export function putBack(signo: number, ours: Buffer, previous: Buffer): void {
  const current = allocate(SIGACTION_SIZE);
  sigactionCall(signo, null, current);
  // Whoever set another handler meanwhile is to keep it.
  if (current.readBigUInt64LE(0) === ours.readBigUInt64LE(0)) sigactionCall(signo, previous, null);
}
