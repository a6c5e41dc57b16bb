import koffi from 'koffi';
import { ENOMEM } from '../error/errno.js';
import { SystemError } from '../error/system-error.js';
import { libc } from '../ffi/libc.js';
import { readKernelFile } from '../file/read-kernel-file.js';
import { loadCode } from '../memory/load-code.js';
import { setImmediate } from '../time/at-load.js';
import { type Address, functionAddress, threadEnd } from './thread-end.js';

/*
 * Watches descriptors in the loop of a worker thread. koffi's own poll calls JavaScript for each event, also while the thread is
 * being terminated, where that fails, and then it ends the process. Here an event calls no JavaScript: what libuv is given to call
 * is its own `uv_poll_stop`, which disarms the watch. An event ends libuv's waiting, too, and after that Node runs immediates. One
 * of ours is always there, which does not keep Node from waiting, and looks for watches that are disarmed.
 *
 * libuv wants each handle closed when the thread ends, by a call with two arguments, and Node's hooks pass one. The second one is
 * added by a few bytes of machine code.
 */

const UV_POLL = 8;
const UV_READABLE = 1;

/** The name of the machine code's file. */
const CODE = 'sdrx-close-poll';

/** What libuv is asked for, https://docs.libuv.org; a negative result is an errno. */
interface Uv {
  readonly loop: Address;
  readonly handleSize: number;
  readonly init: (loop: Address, handle: Address, fd: number) => number;
  readonly start: (handle: Address, events: number, call: Address) => number;
  readonly stop: (handle: Address) => number;
  readonly isActive: (handle: Address) => number;
  readonly unref: (handle: Address) => void;
  readonly close: (handle: Address, closed: Address) => void;
  readonly stopFunction: Address;
  /** `void (uv_handle_t *)` that closes a handle and frees its memory then. */
  readonly closeFunction: Address;
  readonly freeFunction: Address;
  readonly allocate: (count: number, size: number) => Address;
  readonly free: (memory: Address) => void;
}

/** Found out at once: koffi, while it declares a function, does not survive that its thread is terminated. */
const uv = threadEnd === undefined ? undefined : findUv(threadEnd.isolate);

const armed = new Set<ThreadPoll>();
let looking = false;

/** As koffi's PollHandle, for a worker thread. */
export class ThreadPoll {
  readonly #uv: Uv;
  readonly #handle: Address;
  readonly #ready: () => void;

  /** Calls `ready` from an immediate while `fd` is readable. @throws EPERM, EBADF, EEXIST, ENOMEM */
  constructor(fd: number, ready: () => void) {
    if (uv === undefined) throw new Error('this is for worker threads only');
    const { allocate, handleSize, init, loop, closeFunction } = uv;
    this.#uv = uv;
    this.#ready = ready;
    const handle = allocate(1, handleSize);
    if (Number(handle) === 0) throw new SystemError(ENOMEM, 'poll', String(fd));
    const result = init(loop, handle, fd);
    if (result === 0) threadEnd?.add(threadEnd.isolate, closeFunction, handle);
    else {
      uv.free(handle);
      throw new SystemError(-result, 'poll', String(fd));
    }
    this.#handle = handle;
    this.start();
  }

  unref(): void {
    this.#uv.unref(this.#handle);
  }

  stop(): void {
    this.#uv.stop(this.#handle);
    armed.delete(this);
  }

  start(): void {
    this.#uv.start(this.#handle, UV_READABLE, this.#uv.stopFunction);
    armed.add(this);
    if (looking) return;
    looking = true;
    setImmediate(look).unref();
  }

  close(): void {
    const { close, freeFunction, closeFunction } = this.#uv;
    armed.delete(this);
    threadEnd?.remove(threadEnd.isolate, closeFunction, this.#handle);
    close(this.#handle, freeFunction);
  }

  /** Calls `ready`, and waits for the next event, if there was one. */
  look(): void {
    if (this.#uv.isActive(this.#handle) !== 0) return;
    this.#uv.start(this.#handle, UV_READABLE, this.#uv.stopFunction);
    this.#ready();
  }
}

function look(): void {
  looking = armed.size > 0;
  if (!looking) return;
  setImmediate(look).unref();
  for (const poll of armed) poll.look();
}

function findUv(isolate: Address): Uv {
  const program = koffi.load(null);
  const declare = <F>(prototype: string): F => program.func(prototype) as unknown as F;
  const currentLoop = declare<(isolate: Address) => Address>(
    'intptr_t _ZN4node19GetCurrentEventLoopEPN2v87IsolateE(intptr_t)',
  );
  const freeFunction = functionAddress('free');
  return {
    loop: currentLoop(isolate),
    handleSize: declare<(type: number) => number>('size_t uv_handle_size(int)')(UV_POLL),
    init: declare('int uv_poll_init(intptr_t, intptr_t, int)'),
    start: declare('int uv_poll_start(intptr_t, int, intptr_t)'),
    stop: declare('int uv_poll_stop(intptr_t)'),
    isActive: declare('int uv_is_active(intptr_t)'),
    unref: declare('void uv_unref(intptr_t)'),
    close: declare('void uv_close(intptr_t, intptr_t)'),
    stopFunction: functionAddress('uv_poll_stop'),
    closeFunction: sharedCode(callWithSecond(functionAddress('uv_close'), freeFunction), CODE),
    freeFunction,
    allocate: libc('intptr_t calloc(size_t, size_t)'),
    free: libc('void free(intptr_t)'),
  };
}

/**
 * The address of machine code in executable memory. That can't be given back, since Node calls it last of all, so a thread takes
 * what an earlier one has left.
 * @param name what /proc/self/maps shows
 */
export function sharedCode(code: Buffer, name: string): Address {
  for (const line of mappings()) {
    if (!line.includes(`/memfd:${name} `)) continue;
    const address = BigInt(`0x${line.slice(0, line.indexOf('-'))}`);
    if (code.equals(Buffer.from(koffi.view(address, code.length)))) return address;
  }
  return loadCode(code, name);
}

function mappings(): string[] {
  try {
    return readKernelFile('/proc/self/maps').split('\n');
  } catch {
    return [];
  }
}

/** `void (void *first)`: calls `call` with `first` and `second`. */
function callWithSecond(call: Address, second: Address): Buffer {
  if (process.arch === 'x64') {
    const code = Buffer.from(
      '48be0000000000000000' + // mov rsi, second
        '48b80000000000000000' + // mov rax, call
        'ffe0', // jmp rax
      'hex',
    );
    code.writeBigInt64LE(BigInt(second), 2);
    code.writeBigInt64LE(BigInt(call), 12);
    return code;
  }
  const code = Buffer.alloc(28);
  const instructions = [
    0x58000061, // ldr x1, second
    0x58000090, // ldr x16, call
    0xd61f0200, // br x16
  ];
  for (const [index, instruction] of instructions.entries()) code.writeUInt32LE(instruction, index * 4);
  code.writeBigInt64LE(BigInt(second), 12);
  code.writeBigInt64LE(BigInt(call), 20);
  return code;
}
