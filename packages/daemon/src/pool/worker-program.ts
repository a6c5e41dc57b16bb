import { type ChildProcess, spawn } from '@sdrx/linux';
import { limitArguments } from '../limits/limit-options.js';
import type { Limits } from '../limits/limits.js';
import type { Restriction } from '../namespace/restriction.js';
import type { Log } from '../program/log.js';
import { logLevelVariable } from '../program/log-environment.js';

/** The program that serves connections, and its arguments. */
export type WorkerProgram = readonly [program: string, ...args: string[]];

/**
 * Workers are many and small. A young generation of 1 MB is plenty for messages that are answered at once, and of V8's
 * helper threads, which each have their own heap of the C library, one will do.
 */
const NODE_OPTIONS = ['--max-semi-space-size=1', '--v8-pool-size=1'];

/** How our own worker is called: by the Node that runs this, with its options spelled out. */
export function workerCommand(
  program: string,
  runtimeDirectory: string,
  restriction: Restriction,
  limits: Limits,
): WorkerProgram {
  return [
    process.execPath,
    ...NODE_OPTIONS,
    program,
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
  readonly log: Log;
}

/** What was meant for this process and means nothing to a worker. Those of the passed descriptors are gone with them. */
const OWN_VARIABLES = ['WATCHDOG_USEC', 'WATCHDOG_PID'];

/*
 * Two things only the new process itself can do: ask for SIGTERM at the death of its parent, and tell its own id. Both
 * last over exec, so setpriv(1) and a shell do them on the way. The parent may have died before that was asked for.
 */
const SHELL = '[ "$PPID" = "$0" ] || exit 0; export LISTEN_PID=$$; exec "$@"';

/** Starts a worker: the socket as descriptor 3, stdio, no other descriptor; sd_listen_fds(3) and ours in its environment. */
export function startWorker(options: WorkerOptions): ChildProcess {
  const { program, listenFd, fixed, api, notifySocket, slot, log } = options;
  const assigned = slot === undefined ? [] : [`--slot=${slot}`];
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    LISTEN_FDS: '1',
    NSRESOURCE_FIXED_WORKER: fixed ? '1' : '0',
    NSRESOURCE_API: api ? '1' : '0',
    SYSTEMD_LOG_LEVEL: logLevelVariable(log),
    ...(notifySocket && { NOTIFY_SOCKET: notifySocket }),
  };
  for (const variable of OWN_VARIABLES) delete env[variable];
  return spawn('setpriv', {
    args: ['--pdeathsig', 'TERM', '--', 'sh', '-c', SHELL, String(process.pid), ...program, ...assigned],
    env,
    fds: [0, 1, 2, listenFd],
  });
}
