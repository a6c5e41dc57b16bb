import { type ChildProcess, type Fd, pipe, setNonBlocking, spawn } from '@sdrx/linux';
import { limitArguments } from '../limits/limit-options.js';
import type { Limits } from '../limits/limits.js';
import type { Restriction } from '../namespace/restriction.js';
import type { Log } from '../program/log.js';
import { logLevelVariable } from '../program/log-environment.js';
import type { EarlyWorker } from './early-worker.js';
import { workerCommandOf } from './worker-command.js';

/** The program that serves connections, and its arguments. */
export type WorkerProgram = readonly [program: string, ...args: string[]];

/** How our own worker is called, with its options spelled out. */
export function workerCommand(
  script: string,
  runtimeDirectory: string,
  restriction: Restriction,
  limits: Limits,
): WorkerProgram {
  return [
    ...workerCommandOf(script),
    `--runtime-directory=${runtimeDirectory}`,
    `--userns-restrict=${restriction}`,
    ...limitArguments(limits),
  ];
}

export interface WorkerOptions {
  readonly program: WorkerProgram;
  /** The listening socket, which the worker finds as descriptor 3. */
  readonly listenFd: number;
  /** One of those that are always there, rather than one that is there for a peak. */
  readonly fixed: boolean;
  /** Whether the user namespace interfaces work. */
  readonly api: boolean;
  /** Its NOTIFY_SOCKET, if that is not ours. */
  readonly notifySocket?: string | undefined;
  /** Its slot in the ledger; undefined for a program that knows of none. */
  readonly slot: number | undefined;
  /** Whether it is to wait until it is told to begin. */
  readonly waits: boolean;
  readonly log: Log;
}

/** A worker that was started. */
export interface WorkerStart {
  readonly process: ChildProcess;
  /** Lets it begin; undefined if it does not wait. */
  readonly begin: (() => void) | undefined;
}

/** What was meant for this process and means nothing to a worker. Those of the passed descriptors are gone with them. */
const OWN_VARIABLES = ['WATCHDOG_USEC', 'WATCHDOG_PID'];

/** Only the new process itself can tell its id, which lasts over exec: a shell does it on the way. */
const SHELL = 'export LISTEN_PID=$$; exec "$@"';

/** The same, once nobody has the other end of descriptor 4 any more. A shell that waits is a hundredth of a Node that does. */
const WAITING_SHELL = 'read -r _ <&4; export LISTEN_PID=$$; exec "$@" 4<&-';

/**
 * Starts a worker: the socket as descriptor 3, stdio, no other descriptor; sd_listen_fds(3) and ours in its environment.
 * @param early one that was begun, for who need not wait
 */
export function startWorker(options: WorkerOptions, early?: EarlyWorker): WorkerStart {
  const { program, listenFd, fixed, api, notifySocket, slot, waits, log } = options;
  const command = [...program, ...(slot === undefined ? [] : [`--slot=${slot}`])];
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    LISTEN_FDS: '1',
    NSRESOURCE_FIXED_WORKER: fixed ? '1' : '0',
    NSRESOURCE_API: api ? '1' : '0',
    SYSTEMD_LOG_LEVEL: logLevelVariable(log),
    ...(notifySocket && { NOTIFY_SOCKET: notifySocket }),
  };
  for (const variable of OWN_VARIABLES) delete env[variable];
  const start = (shell: string, ...more: readonly Fd[]) =>
    spawn('sh', {
      args: ['-c', shell, 'sh', ...command],
      env,
      fds: [0, 1, 2, listenFd, ...more],
      parentDeathSignal: 'SIGTERM',
    });
  if (!waits) return { process: early?.start(command, listenFd, env) ?? start(SHELL), begin: undefined };
  const [reading, writing] = pipe();
  try {
    setNonBlocking(reading.number, false);
    return { process: start(WAITING_SHELL, reading), begin: () => writing.close() };
  } catch (error) {
    writing.close();
    throw error;
  } finally {
    reading.close();
  }
}
