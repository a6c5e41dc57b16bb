import { readdirSync } from 'node:fs';
import { EACCES, ENOENT, ENOTDIR } from '../error/errno.js';
import { cBytes } from '../ffi/c-string.js';
import { addressOf, allocate, libc } from '../ffi/libc.js';
import { SIGRTMAX, signalNumber } from '../signal/signal.js';
import { ErrorSet, type SpawnCall } from './spawn-call-list.js';
import { RESOURCES, type SpawnLimit, type SpawnOptions, type SpawnUser } from './spawn-options.js';
import { SYSCALLS } from './syscall-numbers.js';

const AT_FDCWD = -100;
const O_RDWR = 2;
const O_CLOEXEC = 0o2000000;
const F_GETFD = 1;
const F_SETFD = 2;
const F_DUPFD_CLOEXEC = 1030;
const INT_MAX = 0x7fff_ffff;
const SIG_SETMASK = 2;
const SIGKILL = 9;
const SIGSTOP = 19;
/** Of the kernel's sigset_t, in bytes. */
const SIGSET_SIZE = 8;
const PR_SET_PDEATHSIG = 1;
const PR_SET_KEEPCAPS = 8;
const FUTEX_CMP_REQUEUE_PRIVATE = 4 | 128;
const ENODEV = 19;
const ETIMEDOUT = 110;
const ESTALE = 116;

/** What a program is not at a path by, as execvp(3) has it: it is looked for in the next folder of PATH. */
export const NOT_THERE = new ErrorSet([EACCES, ENODEV, ENOENT, ENOTDIR, ESTALE, ETIMEDOUT]);

const ANY = new ErrorSet('all');

/** As the kernel has it: SIG_DFL, no flags, nothing blocked. Also a set without signals. */
const DEFAULT_ACTION = allocate(32);
const DEV_NULL = Buffer.from('/dev/null\0');
/** The id of the new process's parent, and what futex(2) wants beside. */
const parentId = allocate(16);

const syscall = libc<(number: number, first: number, last: number, flags: number) => number>(
  'long syscall(long, uint, uint, uint)',
);

/** Every signal at its default action. A new process has all of them blocked until then: a handler would run in our memory. */
export const DEFAULT_SIGNALS: readonly SpawnCall[] = Array.from({ length: SIGRTMAX }, (_, index) => index + 1)
  .filter((signo) => signo !== SIGKILL && signo !== SIGSTOP)
  .map((signo) => ({ name: 'rt_sigaction', arguments: [signo, DEFAULT_ACTION, 0, SIGSET_SIZE] }));

/** What a process does to be as it was asked for, in order; then it is ready for `execve`. */
export function spawnCalls(options: SpawnOptions, targets: readonly (number | null | undefined)[]): SpawnCall[] {
  const { cwd, group, limits, others = 'closed', parentDeathSignal, umask, user } = options;
  const calls: SpawnCall[] = [];
  if (group === 'session') calls.push({ name: 'setsid', arguments: [] });
  if (group === 'process-group') calls.push({ name: 'setpgid', arguments: [0, 0] });
  calls.push(...descriptorCalls(targets));
  if (others === 'closed') calls.push(...closeCalls(targets));
  if (cwd !== undefined) calls.push({ name: 'chdir', arguments: [cBytes(cwd, 'chdir')], subject: cwd });
  if (umask !== undefined) calls.push({ name: 'umask', arguments: [umask] });
  for (const [resource, limit] of Object.entries(limits ?? {})) {
    if (limit !== undefined) calls.push(limitCall(resource as keyof typeof RESOURCES, limit));
  }
  if (user !== undefined) calls.push(...userCalls(user));
  // The kernel forgets it with a change of user.
  if (parentDeathSignal !== undefined) calls.push(...parentDeathCalls(signalNumber(parentDeathSignal)));
  calls.push({ name: 'rt_sigprocmask', arguments: [SIG_SETMASK, DEFAULT_ACTION, 0, SIGSET_SIZE] });
  return calls;
}

/** @param targets for each of the process's descriptors ours that it is a copy of, `null` for /dev/null, undefined for none */
function descriptorCalls(targets: readonly (number | null | undefined)[]): SpawnCall[] {
  const found: SpawnCall[] = [];
  const copies: SpawnCall[] = [];
  const placed: SpawnCall[] = [];
  let nothing: SpawnCall | undefined;
  for (const [target, source] of targets.entries()) {
    if (source === undefined) continue;
    if (source === null) {
      nothing ??= openNothing(targets.length, copies);
      nothing = { name: 'dup3', arguments: [nothing, target, 0] };
      placed.push(nothing);
      continue;
    }
    const subject = String(source);
    if (source === target) {
      found.push({ name: 'fcntl', arguments: [source, F_SETFD, 0], subject });
      continue;
    }
    // Before there are copies, one of which would else be taken for a descriptor that is not open.
    found.push({ name: 'fcntl', arguments: [source, F_GETFD], subject });
    if (source < targets.length) {
      // One that goes to another place would overwrite it.
      const copy: SpawnCall = { name: 'fcntl', arguments: [source, F_DUPFD_CLOEXEC, targets.length], subject };
      copies.push(copy);
      placed.push({ name: 'dup3', arguments: [copy, target, 0], subject });
    } else {
      placed.push({ name: 'dup3', arguments: [source, target, 0], subject });
    }
  }
  return [...found, ...copies, ...placed];
}

function openNothing(lowest: number, calls: SpawnCall[]): SpawnCall {
  const opened: SpawnCall = {
    name: 'openat',
    arguments: [AT_FDCWD, DEV_NULL, O_RDWR | O_CLOEXEC],
    subject: '/dev/null',
  };
  const copy: SpawnCall = { name: 'fcntl', arguments: [opened, F_DUPFD_CLOEXEC, lowest], subject: '/dev/null' };
  calls.push(opened, copy);
  return copy;
}

/**
 * Has the process close what is not among its descriptors. Where there is no close_range(2) (before Linux 5.9), that is what is open
 * now, which is all that can be inherited: what other threads open meanwhile is close-on-exec.
 */
function closeCalls(targets: readonly (number | null | undefined)[]): SpawnCall[] {
  const holes = [...targets.keys()].filter((target) => targets[target] === undefined);
  const close = (fd: number): SpawnCall => ({ name: 'close', arguments: [fd], tolerates: ANY });
  const rest: SpawnCall[] = hasCloseRange()
    ? [{ name: 'close_range', arguments: [targets.length, INT_MAX, 0], subject: String(targets.length) }]
    : readdirSync('/proc/self/fd')
        .map(Number)
        .filter((fd) => fd >= targets.length)
        .map(close);
  return [...holes.map(close), ...rest];
}

let closeRangeKnown: boolean | undefined;

/** Tries it where no descriptor can be. */
function hasCloseRange(): boolean {
  closeRangeKnown ??= syscall(SYSCALLS.close_range, INT_MAX, INT_MAX, 0) === 0;
  return closeRangeKnown;
}

function limitCall(resource: keyof typeof RESOURCES, limit: SpawnLimit): SpawnCall {
  const memory = allocate(16);
  for (const [index, value] of limit.entries()) {
    memory.writeBigUInt64LE(value === Infinity ? 0xffff_ffff_ffff_ffffn : BigInt(value), 8 * index);
  }
  return { name: 'prlimit64', arguments: [0, RESOURCES[resource], memory, 0], subject: resource };
}

/**
 * What capabilities the process has it keeps until it is its program, though without effect: nobody may look into its memory who has not
 * got them, and that memory is ours.
 */
function userCalls({ uid, gid, groups = [] }: SpawnUser): SpawnCall[] {
  const list = allocate(4 * groups.length);
  for (const [index, group] of groups.entries()) list.writeUInt32LE(group, 4 * index);
  return [
    {
      name: 'setgroups',
      arguments: [groups.length, groups.length === 0 ? 0 : list],
      subject: groups.length === 0 ? undefined : groups.join(','),
    },
    { name: 'prctl', arguments: [PR_SET_KEEPCAPS, 1], tolerates: ANY },
    { name: 'setresgid', arguments: [gid, gid, gid], subject: String(gid) },
    { name: 'setresuid', arguments: [uid, uid, uid], subject: String(uid) },
  ];
}

/**
 * The parent may have died before the process asked, so it compares its parent's id with ours. Of the system calls it is futex(2) that
 * can compare: it has nobody to wake here, and fails with EAGAIN for another value.
 */
function parentDeathCalls(signo: number): SpawnCall[] {
  const address = addressOf(parentId);
  return [
    { name: 'prctl', arguments: [PR_SET_PDEATHSIG, signo] },
    { name: 'getppid', arguments: [], resultAt: address },
    {
      name: 'futex',
      arguments: [address, FUTEX_CMP_REQUEUE_PRIVATE, 0, 0, address + 8n, process.pid],
      subject: 'getppid',
    },
  ];
}
