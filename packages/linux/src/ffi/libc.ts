import { isMainThread } from 'node:worker_threads';
import koffi, { type LibraryHandle } from 'koffi';
import { checkChoice, checkInteger, checkText, wrongKind } from '../arguments.js';
import { keepKoffi } from './koffi-kept.js';

const library = openLibrary();
if (!isMainThread) keepKoffi(library);

/** The GNU C library by its name; any other one, musl, as the program itself was linked with it. */
function openLibrary(): LibraryHandle {
  try {
    return koffi.load('libc.so.6');
  } catch {
    return koffi.load(null);
  }
}

/**
 * Declares a function of the C library by its C prototype and gives it a TypeScript type.
 *
 * Pointers to memory of ours are declared `void *` and take a Buffer, or the address of one that lives as long as the
 * program (`addressOf`). What is called often declares them `intptr_t` and takes that address as a number: to look it up in a
 * Buffer takes as long as a short call. A pointer that the kernel keeps must never come from a Buffer that may be collected.
 *
 * `async` makes one that does its work in a thread, and tells a last argument, `(error, result) => void`, when it is done.
 * What it failed with is not told: errno is that thread's. Buffers have to last until then. There are four threads, and one that
 * never comes back keeps the process from ending: see `exitAtOnce`.
 *
 * A string goes as UTF-8 and ends for C at its first NUL, so one from outside needs a check before.
 */
export function libc<F extends (...args: never[]) => unknown>(prototype: string, how: 'sync' | 'async' = 'sync'): F {
  checkText('prototype', prototype);
  checkChoice('how', how, ['sync', 'async']);
  const call = library.func(prototype);
  return (how === 'sync' ? call : call.async) as unknown as F;
}

/** As `libc`, for a function that not every C library has, nor every release of it: undefined where it is missing. */
export function libcIfPresent<F extends (...args: never[]) => unknown>(prototype: string): F | undefined {
  try {
    return libc(prototype);
  } catch (error) {
    if (String(error).includes('Cannot find function')) return undefined;
    throw error;
  }
}

const exit = libc<(code: number) => never>('void _exit(int)');

/**
 * Ends the process without waiting for threads, nor for anything else; what was not written is lost. _exit(2)
 * @param code 0 to 255
 */
export function exitAtOnce(code: number): never {
  checkInteger('code', code, 0, 255);
  return exit(code);
}

/** The address of a Buffer's bytes. The caller keeps the Buffer alive for as long as the address is used. */
export function addressOf(buffer: ArrayBufferView): bigint {
  if (!ArrayBuffer.isView(buffer)) throw wrongKind('buffer', 'a Buffer or another view', buffer);
  return koffi.address(buffer);
}

/**
 * Bytes outside V8's heap, so that their address holds for as long as the Buffer is referenced. Zeroed.
 * @param size in bytes
 */
export function allocate(size: number): Buffer {
  checkInteger('size', size, 0);
  return Buffer.allocUnsafeSlow(size).fill(0);
}

/**
 * The C library's errno as the last call left it (errno(3)), a positive number. To be asked right after that call: a garbage
 * collection in between may change it, on Node 24 and later one of a hundred does.
 */
export function errno(): number {
  return koffi.errno();
}
