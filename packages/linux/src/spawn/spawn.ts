import { checkInstance, checkPid, checkText } from '../arguments.js';
import { SystemError } from '../error/system-error.js';
import { Fd } from '../fd/fd.js';
import { cString, cStrings } from '../ffi/c-string.js';
import { pidfdSendSignal } from '../process/pidfd.js';
import { type Signal, signalNumber } from '../signal/signal.js';
import { prepareSpawn } from './before-spawn.js';
import { spawnCalls } from './spawn-calls.js';
import { startChild } from './spawn-child.js';
import { spawnEnvironment } from './spawn-environment.js';
import { checkSpawnOptions, listenFdList, type SpawnOptions } from './spawn-options.js';
import { programPaths } from './spawn-path.js';

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
   * @throws EPERM when it took another user's identity
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

/** The first descriptor that a process is activated with. sd_listen_fds(3) */
const LISTEN_FDS_START = 3;

/**
 * Starts a program, found along our own PATH if `file` has no slash, with every signal unblocked and at its default action.
 * As posix_spawn(3), and unlike fork(2), it does not copy this process's page tables.
 * @throws the error of the system call that failed: what execve(2) fails with (ENOENT, EACCES, E2BIG, …), what chdir(2) does for
 * `cwd`, and so on for all that was asked for; EBADF for an fd that is not open; EINVAL for a string with a NUL in it; EAGAIN at the
 * limit of processes and EMFILE at that of descriptors from clone(2). No child is left behind then
 */
export function spawn(file: string, options: SpawnOptions = {}): ChildProcess {
  checkText('file', file);
  checkSpawnOptions(options);
  const { args = [], env, fds = [0, 1, 2], listenFds, user } = options;
  const argv = cStrings([cString(file, 'execve'), ...args], 'execve');
  const passed = listenFds === undefined ? undefined : listenFdList(listenFds);
  const names = passed?.map(({ name }) => name);
  const { list, id } = spawnEnvironment(env, names);
  prepareSpawn();
  const targets = fds.map(numberOf);
  for (const [index, { fd }] of passed?.entries() ?? []) targets[LISTEN_FDS_START + index] = numberOf(fd);
  const calls = spawnCalls(options, Array.from(targets));
  const { pid, pidfd } = startChild({
    file,
    calls,
    paths: programPaths(file),
    argv,
    envp: list,
    id,
    changesUser: user !== undefined,
  });
  return new ChildProcess(pid, pidfd);
}

function numberOf(fd: number | Fd | null): number | null {
  return fd instanceof Fd ? fd.number : fd;
}
