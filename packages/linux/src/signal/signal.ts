import { constants } from 'node:os';
import { checkBoolean, checkInteger, checkPid, outOfRange, wrongKind } from '../arguments.js';
import { check, SystemError } from '../error/system-error.js';
import { allocate, libc } from '../ffi/libc.js';

/** The first and last real-time signal. The C library keeps some of the kernel's for itself, glibc two, musl three. signal(7). */
export const SIGRTMIN = libc<() => number>('int __libc_current_sigrtmin()')();
export const SIGRTMAX = 64;

const SIG_BLOCK = 0;
const SIG_UNBLOCK = 1;
const SIGSET_SIZE = 128;

const pthreadSigmask = libc<(how: number, set: Uint8Array, old: Uint8Array | null) => number>(
  'int pthread_sigmask(int, const void *, void *)',
);
const sigqueueCall = libc<(pid: number, signo: number, value: number) => number>('int sigqueue(int, int, intptr_t)');

const REALTIME = Array.from({ length: SIGRTMAX - SIGRTMIN + 1 }, (_, offset) => offset);
const NAMES: ReadonlyMap<string, number> = new Map([
  ...Object.entries(constants.signals),
  ['SIGRTMIN', SIGRTMIN],
  ['SIGRTMAX', SIGRTMAX],
  ...REALTIME.map((offset): [string, number] => [`SIGRTMIN+${offset}`, SIGRTMIN + offset]),
  ...REALTIME.map((offset): [string, number] => [`SIGRTMAX-${offset}`, SIGRTMAX - offset]),
]);
const NUMBERS: ReadonlyMap<number, string> = new Map(
  // Where two names share a number, the first of the table is the usual one.
  Object.entries(constants.signals)
    .reverse()
    .map(([name, signo]) => [signo, name]),
);

/** A signal by its name in signal(7), real-time ones as `SIGRTMIN+n` or `SIGRTMAX-n`, or by its number. */
export type Signal = NodeJS.Signals | `SIGRTMIN${'' | `+${number}`}` | `SIGRTMAX${'' | `-${number}`}` | number;

/** The number of a signal, 1 to 64. @throws RangeError for one that does not exist */
export function signalNumber(signal: Signal): number {
  if (typeof signal === 'number') {
    if (Number.isInteger(signal) && signal >= 1 && signal <= SIGRTMAX) return signal;
    throw outOfRange('signal', `a signal's number, from 1 to ${SIGRTMAX}`, signal);
  }
  if (typeof signal !== 'string') throw wrongKind('signal', "a signal's name or number", signal);
  const known = NAMES.get(signal);
  if (known !== undefined) return known;
  throw outOfRange('signal', "a signal's name", signal);
}

/** The name of a signal by its number, as signal(7) has it; `signal n` for a number without a name. */
export function signalName(signo: number): string {
  checkInteger('signo', signo);
  const known = NUMBERS.get(signo);
  if (known !== undefined) return known;
  return signo >= SIGRTMIN && signo <= SIGRTMAX ? `SIGRTMIN+${signo - SIGRTMIN}` : `signal ${signo}`;
}

/** The C library's sigset_t of these signal numbers. */
export function signalSet(...signos: readonly number[]): Buffer {
  for (const signo of signos) checkInteger('signo', signo, 1, SIGRTMAX);
  const set = allocate(SIGSET_SIZE);
  for (const signo of signos) {
    const byte = (signo - 1) >> 3;
    set.writeUInt8(set.readUInt8(byte) | (1 << ((signo - 1) & 7)), byte);
  }
  return set;
}

/**
 * Blocks or unblocks a signal in the calling thread. pthread_sigmask(3). SIGKILL, SIGSTOP, 32 and 33 stay unblocked without an
 * error.
 * @throws RangeError for a number that no set can hold
 */
export function setBlocked(signo: number, blocked: boolean): void {
  checkInteger('signo', signo, 1, SIGRTMAX);
  checkBoolean('blocked', blocked);
  const error = pthreadSigmask(blocked ? SIG_BLOCK : SIG_UNBLOCK, signalSet(signo), null);
  if (error !== 0) throw new SystemError(error, 'pthread_sigmask', signalName(signo));
}

/** Whether the calling thread blocks a signal. */
export function isBlocked(signo: number): boolean {
  checkInteger('signo', signo, 1, SIGRTMAX);
  const set = allocate(SIGSET_SIZE);
  pthreadSigmask(SIG_BLOCK, signalSet(), set);
  return (set.readUInt8((signo - 1) >> 3) & (1 << ((signo - 1) & 7))) !== 0;
}

/**
 * Queues a signal with a value to a process. sigqueue(3).
 * @param value 32-bit integer, which the receiver finds as `value`
 * @throws ESRCH, EPERM, EAGAIN (the receiver's RLIMIT_SIGPENDING is reached), RangeError for a value of another kind
 */
export function sigqueue(pid: number, signal: Signal, value: number): void {
  checkPid(pid);
  checkInteger('value', value, -0x8000_0000, 0x7fff_ffff);
  check(sigqueueCall(pid, signalNumber(signal), value), 'sigqueue', pid);
}
