import { isMainThread } from 'node:worker_threads';
import koffi from 'koffi';
import { libc } from '../ffi/libc.js';

/*
 * A worker thread that is terminated runs no more JavaScript, so only native code can give back what it holds. Node lets addons
 * ask for that: when a thread's environment ends, however it ends, it calls C functions with one argument each, the last one that
 * was asked for first. The C library's close(2) is such a function, and a descriptor its argument.
 *
 * A thread may be terminated wherever a function of JavaScript begins, but not between two calls of native ones. So what is got by
 * one call and must not be lost is to be passed to `add` by the next one, in the same function.
 *
 * The main thread does not need this, as its end is the process's, and does not pay for it.
 */

/** An address in memory. */
export type Address = number | bigint;

/** @param call a C function, `void (*)(void *)` */
type Hook = (isolate: Address, call: Address, argument: Address) => void;

/** Node's hooks for the end of this thread. */
interface ThreadEnd {
  /** What the functions take first. */
  readonly isolate: Address;
  /** Ends the process when the same is there already. */
  readonly add: Hook;
  /** Harmless when it is not there. */
  readonly remove: Hook;
}

/** The program's functions, as node.h declares them; their names are C++'s and the same in all releases. */
const NAMES = {
  isolate: 'intptr_t _ZN2v87Isolate10GetCurrentEv()',
  add: 'void _ZN4node25AddEnvironmentCleanupHookEPN2v87IsolateEPFvPvES3_(intptr_t, intptr_t, intptr_t)',
  remove: 'void _ZN4node28RemoveEnvironmentCleanupHookEPN2v87IsolateEPFvPvES3_(intptr_t, intptr_t, intptr_t)',
} as const;

/** Undefined in the main thread. */
export const threadEnd: ThreadEnd | undefined = isMainThread ? undefined : findHooks();

/** Has a C function called with `argument` when this thread ends; harmless when it is so already, and in the main thread. */
export function atThreadEnd(call: Address, argument: Address): void {
  if (threadEnd === undefined) return;
  threadEnd.remove(threadEnd.isolate, call, argument);
  threadEnd.add(threadEnd.isolate, call, argument);
}

/** Takes back what `atThreadEnd` was asked for; harmless when it was not. */
export function notAtThreadEnd(call: Address, argument: Address): void {
  threadEnd?.remove(threadEnd.isolate, call, argument);
}

/** The address of a function of the program, the C library included. dlsym(3) */
export function functionAddress(name: string): Address {
  const dlsym = libc<(library: number, name: string) => Address>('intptr_t dlsym(intptr_t, const char *)');
  return dlsym(0, name);
}

function findHooks(): ThreadEnd {
  const program = koffi.load(null);
  const declare = <F>(prototype: string): F => program.func(prototype) as unknown as F;
  return {
    isolate: declare<() => Address>(NAMES.isolate)(),
    add: declare<Hook>(NAMES.add),
    remove: declare<Hook>(NAMES.remove),
  };
}
