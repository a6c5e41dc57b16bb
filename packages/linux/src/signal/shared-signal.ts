import koffi from 'koffi';
import { checkInteger } from '../arguments.js';
import { check } from '../error/system-error.js';
import { allocate, libc } from '../ffi/libc.js';
import { loadCode } from '../memory/load-code.js';
import { SIGRTMAX, signalName, signalSet } from './signal.js';
import { putBack, SA_RESTART, SA_SIGINFO, SIGACTION_FLAGS, SIGACTION_SIZE, sigactionCall } from './signal-forwarder.js';

/*
 * A signal that its handler so far, one of Node's or of a library, has to go on hearing of. Whichever thread receives it sends
 * it on to the main thread, as in signal-forwarder.ts, and then runs that handler. No thread comes to block it but the main
 * one, which must: so others receive it also while the main thread waits in a system call. What no other thread takes stays
 * pending for the main thread, which then has to call the handler itself.
 */

const SIG_SETMASK = 2;

const pthreadSigmask = libc<(how: number, set: Uint8Array, old: Uint8Array | null) => number>(
  'int pthread_sigmask(int, const void *, void *)',
);
const SignalHandler = koffi.proto('void (int)');

const ALL_SIGNALS = signalSet(...Array.from({ length: SIGRTMAX }, (_, index) => index + 1));

/** `void handler(int signo, siginfo_t *info, ucontext_t *context)`: sends the signal to the main thread, then jumps to `next`. */
function handlerCode(next: bigint): Buffer {
  const [tgid, tid] = [process.pid, process.pid];
  switch (process.arch) {
    case 'x64': {
      const code = Buffer.from(
        '575652' + // push rdi; push rsi; push rdx
          '8b4608' + // mov eax, [rsi+8]               code
          '894604' + // mov [rsi+4], eax               errno
          'c74608c4ffffff' + // mov dword [rsi+8], -60
          '89fa' + // mov edx, edi                     signo
          '4989f2' + // mov r10, rsi                   info
          'bf00000000' + // mov edi, tgid
          'be00000000' + // mov esi, tid
          'b829010000' + // mov eax, 297
          '0f05' + // syscall
          '5a5e5f' + // pop rdx; pop rsi; pop rdi
          '8b4604' + // mov eax, [rsi+4]
          '894608' + // mov [rsi+8], eax
          'c7460400000000' + // mov dword [rsi+4], 0
          '48b80000000000000000' + // mov rax, next
          'ffe0', // jmp rax
        'hex',
      );
      code.writeInt32LE(tgid, 22);
      code.writeInt32LE(tid, 27);
      code.writeBigUInt64LE(next, code.length - 10);
      return code;
    }
    case 'arm64': {
      const halves = (register: number, value: number) => [
        0x52800000 | ((value & 0xffff) << 5) | register, // movz w<register>, low half
        0x72a00000 | ((value >>> 16) << 5) | register, // movk w<register>, high half, lsl 16
      ];
      const quarter = (index: number) => Number((next >> BigInt(index * 16)) & 0xffffn) << 5;
      const instructions = [
        0x2a0003e9, // mov w9, w0              signo
        0xaa0103ea, // mov x10, x1             info
        0xaa0203eb, // mov x11, x2             context
        0xb9400824, // ldr w4, [x1, #8]        code
        0xb9000424, // str w4, [x1, #4]        errno
        0x12800764, // mov w4, #-60
        0xb9000824, // str w4, [x1, #8]
        0x2a0003e2, // mov w2, w0
        0xaa0103e3, // mov x3, x1
        ...halves(0, tgid),
        ...halves(1, tid),
        0xd2801e08, // mov x8, 240
        0xd4000001, // svc 0
        0xb9400544, // ldr w4, [x10, #4]
        0xb9000944, // str w4, [x10, #8]
        0xb900055f, // str wzr, [x10, #4]
        0x2a0903e0, // mov w0, w9
        0xaa0a03e1, // mov x1, x10
        0xaa0b03e2, // mov x2, x11
        0xd2800010 | quarter(0), // movz x16, next
        0xf2a00010 | quarter(1), // movk x16, …, lsl 16
        0xf2c00010 | quarter(2), // movk x16, …, lsl 32
        0xf2e00010 | quarter(3), // movk x16, …, lsl 48
        0xd61f0200, // br x16
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

/** The code for each handler that was met. It stays: a thread may be in it at any time. */
const codes = new Map<bigint, bigint>();

/** A signal that is shared with the handler that it had. */
export interface SharedSignal {
  /** Calls that handler in the main thread, whether or not it was called for what came. */
  tell(): void;
  /** Puts the handler back, unless another one was set since. */
  stop(): void;
}

/**
 * From now on every thread that receives `signo` sends it on to the main thread, which must have it blocked, and then runs the
 * handler that the signal has now. sigaction(2).
 * @throws RangeError when it has none
 */
export function shareWithHandler(signo: number): SharedSignal {
  checkInteger('signo', signo, 1, SIGRTMAX);
  const previous = allocate(SIGACTION_SIZE);
  check(sigactionCall(signo, null, previous), 'sigaction', signo);
  const next = previous.readBigUInt64LE(0);
  // SIG_DFL, SIG_IGN
  if (next <= 1n) throw new RangeError(`${signalName(signo)} has no handler to share it with`);
  let code = codes.get(next);
  if (code === undefined) {
    code = loadCode(handlerCode(next), 'shared-signal');
    codes.set(next, code);
  }
  // With its mask: the handler relies on not being interrupted by another one.
  const action = Buffer.from(previous);
  action.writeBigUInt64LE(code, 0);
  action.writeInt32LE(previous.readInt32LE(SIGACTION_FLAGS) | SA_SIGINFO | SA_RESTART, SIGACTION_FLAGS);
  check(sigactionCall(signo, action, null), 'sigaction', signo);
  const takesInfo = (previous.readInt32LE(SIGACTION_FLAGS) & SA_SIGINFO) !== 0;
  return {
    tell: () => {
      if (!takesInfo) callHandler(next, signo);
    },
    stop: () => putBack(signo, action, previous),
  };
}

/** As the kernel would, with all signals blocked. */
function callHandler(handler: bigint, signo: number): void {
  const mask = allocate(ALL_SIGNALS.length);
  pthreadSigmask(SIG_SETMASK, ALL_SIGNALS, mask);
  try {
    koffi.call(handler, SignalHandler, signo);
  } finally {
    pthreadSigmask(SIG_SETMASK, mask, null);
  }
}
