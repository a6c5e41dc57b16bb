import koffi from 'koffi';
import { EACCES, EINTR } from '../error/errno.js';
import { SystemError } from '../error/system-error.js';
import { closeFunction } from '../fd/descriptor-call.js';
import { Fd } from '../fd/fd.js';
import { addressOf, allocate, errno, libc } from '../ffi/libc.js';
import { type Address, threadEnd } from '../thread/thread-end.js';
import { type SpawnCall, SpawnCallList } from './spawn-call-list.js';
import { DEFAULT_SIGNALS, NOT_THERE } from './spawn-calls.js';
import { spawnCode } from './spawn-code.js';
import { SYSCALLS } from './syscall-numbers.js';

const CLONE_VM = 0x100;
const CLONE_PIDFD = 0x1000;
const CLONE_VFORK = 0x4000;
const SIGCHLD = 17;
const FLAGS = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD;
const SIG_SETMASK = 2;
const SIGSET_SIZE = 8;
const PR_GET_DUMPABLE = 3;
const PR_SET_DUMPABLE = 4;

/** In bytes. The machine code needs no stack, the C library's clone(2) a few words of it. */
const STACK_SIZE = 4096;

/** Of a report: the call that failed and its error, before the results of `execve`. */
const REPORT_WORDS = 2;

const clone = libc<
  (
    code: Address,
    stack: bigint,
    flags: number,
    list: bigint,
    pidfd: Int32Array,
    storage: bigint,
    thread: bigint,
  ) => number
>('int clone(intptr_t, intptr_t, int, intptr_t, void *, intptr_t, intptr_t)');
const setSignalMask = libc<
  (number: number, how: number, set: Uint8Array, old: Uint8Array | null, size: number) => number
>('long syscall(long, int, void *, void *, size_t)');
const prctl = libc<(option: number, value: number) => number>('int prctl(int, ulong)');
const lockFile = libc<(file: unknown) => void>('void flockfile(void *)');
const unlockFile = libc<(file: unknown) => void>('void funlockfile(void *)');
const waitpid = libc<(pid: number, status: null, options: number) => number>('int waitpid(int, void *, int)');

// Made once: a process is started by one thread, which waits until it has these no longer.
const stack = allocate(STACK_SIZE);
const list = new SpawnCallList(DEFAULT_SIGNALS);
const pidfd = new Int32Array(allocate(4).buffer);
// With the two that the C library keeps for itself, which its own function does not block.
const ALL_SIGNALS = allocate(SIGSET_SIZE).fill(0xff);
const ownMask = allocate(SIGSET_SIZE);

/** A FILE of C, of which only the lock is of use: all threads have the same one, and nobody else takes it. flockfile(3) */
const standardInput: unknown = koffi.decode(koffi.load(null).symbol('stdin', 'void *'), 'void *');

/** What a new process is to do, see `spawnCalls`, and the program that it then becomes. */
export interface SpawnPlan {
  readonly file: string;
  readonly calls: readonly SpawnCall[];
  /** Where the program may be. */
  readonly paths: readonly Buffer[];
  readonly argv: Buffer;
  readonly envp: Buffer | bigint;
  /** The address where the process has to write its id. */
  readonly id: bigint | undefined;
  /** Whether it becomes another user. */
  readonly changesUser: boolean;
}

let report = allocate(0);

/**
 * Starts a process, and returns when it is its program. clone(2), which suspends the calling thread until then (CLONE_VFORK).
 * @returns its id and a descriptor of it
 * @throws the error of the call that failed, and of clone(2)
 */
export function startChild(plan: SpawnPlan): { readonly pid: number; readonly pidfd: Fd } {
  const words = emptyReport(REPORT_WORDS + plan.paths.length);
  const at = addressOf(words);
  const address = list.write([...plan.calls, ...execveCalls(plan, at)], at, plan.id);
  const pid = cloneChild(address, plan);
  const fd = new Fd(pidfd[0] as number);
  const [failed = 0n, result = 0n] = words;
  if (failed === 0n) return { pid, pidfd: fd };
  fd.close();
  while (waitpid(pid, null, 0) === -1 && errno() === EINTR);
  throw failure(list.at(failed), -Number(result), words.subarray(REPORT_WORDS));
}

/**
 * The kernel protects the memory of a process that changes its user from that user's other processes: it is no longer "dumpable".
 * Until the new process is its program its memory is ours, so that is to be undone then, and not before. One thread at a time does so,
 * lest another one takes what it finds meanwhile for how it was. prctl(2) PR_SET_DUMPABLE
 *
 * A thread can't be terminated in here, as there is no function of JavaScript.
 */
function cloneChild(address: bigint, { file, changesUser }: SpawnPlan): number {
  const code = spawnCode();
  const stackTop = (addressOf(stack) + BigInt(STACK_SIZE)) & ~15n;
  if (changesUser) lockFile(standardInput);
  const dumpable = changesUser ? prctl(PR_GET_DUMPABLE, 0) : 0;
  setSignalMask(SYSCALLS.rt_sigprocmask, SIG_SETMASK, ALL_SIGNALS, ownMask, SIGSET_SIZE);
  const pid = clone(code, stackTop, FLAGS, address, pidfd, 0n, 0n);
  const error = koffi.errno();
  if (pid !== -1 && threadEnd !== undefined) {
    threadEnd.remove(threadEnd.isolate, closeFunction, pidfd[0] as number);
    threadEnd.add(threadEnd.isolate, closeFunction, pidfd[0] as number);
  }
  setSignalMask(SYSCALLS.rt_sigprocmask, SIG_SETMASK, ownMask, null, SIGSET_SIZE);
  if (dumpable === 1) prctl(PR_SET_DUMPABLE, 1);
  if (changesUser) unlockFile(standardInput);
  if (pid === -1) throw new SystemError(error, 'clone', file);
  return pid;
}

/** Each but the last is followed by the next one if the program is not there. */
function execveCalls({ file, paths, argv, envp }: SpawnPlan, report: bigint): SpawnCall[] {
  return paths.map((path, index) => ({
    name: 'execve',
    arguments: [path, argv, envp],
    subject: file,
    resultAt: report + BigInt(8 * (REPORT_WORDS + index)),
    ...(index < paths.length - 1 && { tolerates: NOT_THERE }),
  }));
}

/** As execvp(3) has it, a program that may not be executed counts for more than none. */
function failure(call: SpawnCall | undefined, error: number, executed: BigInt64Array): SystemError {
  const denied = call?.name === 'execve' && NOT_THERE.has(error) && executed.includes(BigInt(-EACCES));
  return new SystemError(denied ? EACCES : error, call?.name ?? 'clone', call?.subject);
}

function emptyReport(words: number): BigInt64Array {
  if (report.length < 8 * words) report = allocate(2 * 8 * words);
  report.fill(0);
  return new BigInt64Array(report.buffer, report.byteOffset, words);
}
