import { readdirSync } from 'node:fs';
import { checkInstance, checkPid, checkText } from './arguments.js';
import { prepareSpawn } from './before-spawn.js';
import { cString, cStrings } from './c-string.js';
import { environ } from './environ.js';
import { EINTR } from './errno.js';
import { duplicate, Fd } from './fd.js';
import { allocate, errno, libc, libcIfPresent } from './libc.js';
import { pidfdOpen, pidfdSendSignal } from './pidfd.js';
import { SIGRTMAX, type Signal, signalNumber, signalSet } from './signal.js';
import { isMainThread } from './signal-forwarder.js';
import { spawnFailure } from './spawn-failure.js';
import { checkSpawnOptions, type SpawnOptions } from './spawn-options.js';
import { SystemError } from './system-error.js';

const POSIX_SPAWN_SETPGROUP = 0x02;
const POSIX_SPAWN_SETSIGDEF = 0x04;
const POSIX_SPAWN_SETSIGMASK = 0x08;
const POSIX_SPAWN_SETSID = 0x80;
// posix_spawnattr_t and posix_spawn_file_actions_t have 336 and 80 bytes in the GNU C library, and no more in musl.
const ATTRIBUTES_SIZE = 512;
const ACTIONS_SIZE = 256;
const O_RDWR = 2;

type Memory = Uint8Array;
const posixSpawnp = libc<
  (pid: Memory, file: string, actions: Memory, attributes: Memory, argv: Memory, envp: Memory | bigint) => number
>('int posix_spawnp(void *, const char *, const void *, const void *, void *, void *)');
const attributesInit = libc<(attributes: Memory) => number>('int posix_spawnattr_init(void *)');
const setFlags = libc<(attributes: Memory, flags: number) => number>('int posix_spawnattr_setflags(void *, short)');
const setMask = libc<(attributes: Memory, set: Memory) => number>(
  'int posix_spawnattr_setsigmask(void *, const void *)',
);
const setDefault = libc<(attributes: Memory, set: Memory) => number>(
  'int posix_spawnattr_setsigdefault(void *, const void *)',
);
const actionsInit = libc<(actions: Memory) => number>('int posix_spawn_file_actions_init(void *)');
const actionsDestroy = libc<(actions: Memory) => number>('int posix_spawn_file_actions_destroy(void *)');
const addDup2 = libc<(actions: Memory, from: number, to: number) => number>(
  'int posix_spawn_file_actions_adddup2(void *, int, int)',
);
const addOpen = libc<(actions: Memory, fd: number, path: string, flags: number, mode: number) => number>(
  'int posix_spawn_file_actions_addopen(void *, int, const char *, int, uint)',
);
const addCloseFrom = libcIfPresent<(actions: Memory, lowest: number) => number>(
  'int posix_spawn_file_actions_addclosefrom_np(void *, int)',
);
const addClose = libc<(actions: Memory, fd: number) => number>('int posix_spawn_file_actions_addclose(void *, int)');
const addChdir = libc<(actions: Memory, path: string) => number>(
  'int posix_spawn_file_actions_addchdir_np(void *, const char *)',
);

const waitpid = libc<(pid: number, status: null, options: number) => number>('int waitpid(int, void *, int)');

const NO_SIGNALS = signalSet();
// With 32 and 33, which belong to the C library: what is not in this set it leaves ignored in the child.
const ALL_SIGNALS = signalSet(...Array.from({ length: SIGRTMAX }, (_, index) => index + 1));

// Made once: it is called in one thread, and returns before it is called again.
const pid = allocate(4);
const actions = allocate(ACTIONS_SIZE);
const attributes = {
  none: makeAttributes(0),
  'process-group': makeAttributes(POSIX_SPAWN_SETPGROUP),
  session: makeAttributes(POSIX_SPAWN_SETSID),
};

function makeAttributes(groupFlag: number): Memory {
  const memory = allocate(ATTRIBUTES_SIZE);
  attributesInit(memory);
  setMask(memory, NO_SIGNALS);
  setDefault(memory, ALL_SIGNALS);
  setFlags(memory, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | groupFlag);
  return memory;
}

/** Somebody may put another object in its place. */
const initialEnv = process.env;

/** A child process: its id, and a pidfd that this object owns and that can't ever mean another process. */
export class ChildProcess implements Disposable {
  /** Takes over `pidfd`. */
  constructor(
    readonly pid: number,
    readonly pidfd: Fd,
  ) {
    checkPid(pid);
    checkInstance('pidfd', pidfd, Fd);
  }

  /**
   * Sends it a signal; false when it has ended and was reaped. One that ended and was not takes a signal without effect.
   * Throws EPERM when it took another user's identity.
   */
  kill(signal: Signal = 'SIGTERM'): boolean {
    signalNumber(signal);
    try {
      pidfdSendSignal(this.pidfd.number, signal);
      return true;
    } catch (error) {
      if (error instanceof SystemError && error.code === 'ESRCH') return false;
      throw error;
    }
  }

  /** Closes the pidfd. The child itself goes on. */
  [Symbol.dispose](): void {
    this.pidfd.close();
  }
}

/**
 * Starts a program, found along our own PATH if `file` has no slash, with every signal unblocked and at its default action.
 * posix_spawn(3), which unlike fork(2) does not copy this process's page tables.
 *
 * Throws, leaving no child behind, what execve(2) fails with (ENOENT, EACCES, E2BIG, …), what chdir(2) does for `cwd`, EBADF
 * for an fd that is not open, EINVAL for a string with a NUL in it, EAGAIN at the limit of processes, EMFILE.
 */
export function spawn(file: string, options: SpawnOptions = {}): ChildProcess {
  checkText('file', file);
  checkSpawnOptions(options);
  const { args = [], env, fds = [0, 1, 2], others = 'closed', cwd, group = 'none' } = options;
  const path = cString(file, 'posix_spawn');
  const argv = cStrings([path, ...args], 'posix_spawn');
  const envp = env === undefined ? ownEnvironment() : environment(env);
  const moved: Fd[] = [];
  prepareSpawn();
  const succeed = (error: number) => {
    if (error === 0) return;
    const sources = fds.flatMap((fd) => (fd === null ? [] : typeof fd === 'number' ? fd : fd.number));
    throw spawnFailure(error, { file, cwd, sources });
  };
  actionsInit(actions);
  try {
    fds.forEach((source, target) => {
      if (source === null) {
        succeed(addOpen(actions, target, '/dev/null', O_RDWR, 0));
        return;
      }
      let from = typeof source === 'number' ? source : source.number;
      // An earlier dup2 would overwrite a source that is itself among the targets.
      if (from !== target && from < fds.length) {
        const copy = duplicate(from, fds.length);
        moved.push(copy);
        from = copy.number;
      }
      succeed(addDup2(actions, from, target));
    });
    if (others === 'closed') succeed(closeFrom(fds.length));
    if (cwd !== undefined) succeed(addChdir(actions, cString(cwd, 'posix_spawn')));
    succeed(posixSpawnp(pid, path, actions, attributes[group], argv, envp));
  } finally {
    for (const fd of moved) fd.close();
    actionsDestroy(actions);
  }
  return adopt(pid.readInt32LE(0));
}

/**
 * Has the child close all descriptors from `lowest` on. Where the C library has nothing for that (musl, glibc before 2.34), those
 * that are open now, which are all that can be inherited: what other threads open meanwhile is close-on-exec.
 * @returns an error number
 */
function closeFrom(lowest: number): number {
  if (addCloseFrom !== undefined) return addCloseFrom(actions, lowest);
  for (const fd of readdirSync('/proc/self/fd').map(Number)) {
    const error = fd < lowest ? 0 : addClose(actions, fd);
    if (error !== 0) return error;
  }
  return 0;
}

/** Where JavaScript's is the C library's, as that: copying the variables one by one would take longer than all the rest. */
function ownEnvironment(): Memory | bigint {
  return process.env === initialEnv && isMainThread() ? environ() : environment(process.env);
}

function environment(variables: Readonly<NodeJS.ProcessEnv>): Memory {
  const texts = Object.entries(variables).flatMap(([name, value]) => (value === undefined ? [] : `${name}=${value}`));
  return cStrings(texts, 'posix_spawn');
}

function adopt(pid: number): ChildProcess {
  try {
    return new ChildProcess(pid, pidfdOpen(pid));
  } catch (error) {
    // Most likely EMFILE. Nobody else knows of the child, so it must not stay; until it is reaped its id is its own.
    process.kill(pid, 'SIGKILL');
    while (waitpid(pid, null, 0) === -1 && errno() === EINTR);
    throw error;
  }
}
