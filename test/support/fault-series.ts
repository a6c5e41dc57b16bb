import { type Fault, needsStrace, type SeenCalls } from './inject-fault.js';
import { needsRoot } from './privileges.js';

/** Whether each fault is tried, and not a sample of them: SDRX_ALL_FAULTS=1. */
const ALL = process.env.SDRX_ALL_FAULTS === '1';

/** Which part of them, counted from 1, and how many parts there are: SDRX_FAULTS_SLICE=2/5. */
const [PART = 1, PARTS = 1] = (process.env.SDRX_FAULTS_SLICE ?? '').split('/').filter(Boolean).map(Number);

/** The one fault to be tried alone: SDRX_FAULT='openat 3 EIO'. */
const [ONE_CALL, ONE_WHEN, ONE_ERROR] = (process.env.SDRX_FAULT ?? '').split(' ');

const ERRORS = ['ENOSPC', 'EIO', 'EMFILE', 'ENOMEM', 'EINTR', 'EACCES'] as const;

/**
 * The system calls on files, descriptors and processes, those that an architecture lacks as `?`. Not the memory's, without which
 * there is no JavaScript, and not those by which Node waits, which can't fail in these ways: epoll_wait(2), futex(2).
 */
export const CALLS = [
  ...['openat', '?open', 'read', 'pread64', 'write', 'pwrite64', 'writev', 'fsync', 'ftruncate', 'fallocate', 'lseek'],
  ...['close', 'fstat', '?newfstatat', '?stat', '?lstat', 'statx', 'fstatfs', '?readlink', 'readlinkat', 'getdents64'],
  ...[
    '?access',
    'faccessat',
    '?faccessat2',
    '?rename',
    'renameat',
    'renameat2',
    '?link',
    'linkat',
    '?unlink',
    'unlinkat',
  ],
  ...[
    '?symlink',
    'symlinkat',
    '?mkdir',
    'mkdirat',
    '?rmdir',
    '?chmod',
    'fchmod',
    'fchmodat',
    '?chown',
    '?lchown',
    'fchownat',
  ],
  ...['fcntl', 'ioctl', 'flock', 'pipe2', 'dup', '?dup2', 'dup3', 'prctl', 'getsockname', 'setsockopt', 'socket'],
  ...['socketpair', 'bind', 'listen', 'accept4', 'connect', 'recvmsg', 'recvfrom', 'sendmsg', 'sendto', 'getsockopt'],
  ...['epoll_ctl', 'epoll_create1', 'eventfd2', 'signalfd4', 'timerfd_create', 'inotify_init1', 'inotify_add_watch'],
  ...['pidfd_open', 'pidfd_send_signal', 'waitid', 'wait4', 'kill', '?poll', 'ppoll', 'clone', 'clone3', '?vfork'],
  ...['?fork', 'execve', 'setns', 'unshare', 'open_by_handle_at', 'memfd_create'],
] as const;

/** Options for a test that tries faults. */
export const faultOptions = { ...needsRoot, ...needsStrace, ...(ALL ? { timeout: 7_200_000 } : {}) };

/** A call that once could not fail without harm, told by what strace(1) says of it. */
export type KnownCall = readonly [call: string, pattern: RegExp];

/**
 * The faults to try, given the calls that one process makes: each of them with each error, or as a sample one error at the first and
 * one at the last time that a call is made, and at each known one.
 */
export function faultsFor(seen: SeenCalls, known: readonly KnownCall[]): Fault[] {
  if (ONE_CALL && ONE_ERROR) return [{ call: ONE_CALL, error: ONE_ERROR, when: Number(ONE_WHEN) }];
  const faults = [...seen.counts].flatMap(([call, count], index) =>
    ALL ? faultsOfCall(call, count) : sampleOfCall(call, count, index),
  );
  const more = ALL
    ? []
    : known.flatMap(([call, pattern]) => seen.find(call, pattern).map((when) => ({ call, error: 'EIO', when })));
  return [...faults, ...more].filter((_, index) => index % PARTS === PART - 1);
}

function faultsOfCall(call: string, count: number): Fault[] {
  return ERRORS.flatMap((error) => Array.from({ length: count }, (_, index) => ({ call, error, when: index + 1 })));
}

function sampleOfCall(call: string, count: number, index: number): Fault[] {
  return [...new Set([1, count])].map((when, place) => ({
    call,
    error: ERRORS[(index + place) % ERRORS.length] ?? 'EIO',
    when,
  }));
}

/** What came of a fault. */
export interface FaultResult {
  readonly wrong: readonly string[];
  /** Whether it came to be. */
  readonly happened: boolean;
  /** Whether who had it is of no further use. */
  readonly isSpoilt: boolean;
}

/**
 * What never fails: a descriptor without a file behind it is always good for what it is there for, and the flags of one that is open
 * can be read. Node and our loop rely on that.
 */
const IMPOSSIBLE = /anon_inode:\[(timerfd|eventfd|eventpoll|signalfd)\]|fcntl\(\d+<[^>]*>, F_GETF[DL]\)/;

/** Whether the kernel can have let these calls fail, lines of strace(1). */
export function isPossible(injected: readonly string[]): boolean {
  return !injected.some((line) => IMPOSSIBLE.test(line));
}

/** The name of a test of a fault. */
export function nameOf({ call, error, when }: Fault): string {
  return `${call} ${when} ${error}`;
}

/** The last lines of a log, without those of our program that Node prints when it dies, which are very long. */
export function lastOf(log: string): string[] {
  return log
    .split('\n')
    .filter((line) => line.length < 500)
    .slice(-20);
}
