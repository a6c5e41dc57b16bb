import { allocate, libc } from '../ffi/libc.js';
import { functionAddress, threadEnd } from '../thread/thread-end.js';

/** The C library's close(2), for the end of a worker thread. */
export const closeFunction = threadEnd === undefined ? 0 : functionAddress('close');

/**
 * As `libc`, for a function that returns a new descriptor, or −1. In a worker thread the descriptor is closed when the thread
 * ends, unless it was closed or given away before; an `Fd` sees to that, too, but the thread may end before there is one.
 */
export function descriptorCall<F extends (...args: never[]) => number>(prototype: string): F {
  const call = libc<(...args: unknown[]) => number>(prototype);
  if (threadEnd === undefined) return call as unknown as F;
  const { isolate, add, remove } = threadEnd;
  const kept = (...args: unknown[]): number => {
    const fd = call(...args);
    if (fd >= 0) {
      remove(isolate, closeFunction, fd);
      add(isolate, closeFunction, fd);
    }
    return fd;
  };
  return kept as unknown as F;
}

/** What a function fills in that makes two descriptors. */
export const descriptorPair = new Int32Array(allocate(8).buffer);

/** As `descriptorCall`, for a function that returns 0 and fills in `descriptorPair`, which must be among its arguments. */
export function descriptorPairCall<F extends (...args: never[]) => number>(prototype: string): F {
  const call = libc<(...args: unknown[]) => number>(prototype);
  if (threadEnd === undefined) return call as unknown as F;
  const { isolate, add, remove } = threadEnd;
  const kept = (...args: unknown[]): number => {
    const result = call(...args);
    if (result === 0) {
      remove(isolate, closeFunction, descriptorPair[0] as number);
      add(isolate, closeFunction, descriptorPair[0] as number);
      remove(isolate, closeFunction, descriptorPair[1] as number);
      add(isolate, closeFunction, descriptorPair[1] as number);
    }
    return result;
  };
  return kept as unknown as F;
}
