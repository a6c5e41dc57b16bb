import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { childrenOf } from './children.js';
import { isRunning, isStopped } from './is-running.js';
import { managerPid } from './manager-pid.js';
import { programPath } from './program-path.js';
import { until } from './until.js';
import { within } from './within.js';

/** The built daemon. */
export const nsresourced = programPath('../../../packages/daemon/bin/nsresourced', import.meta.url);

/** The polkit of this machine has no say in tests. */
const NO_BUS = { DBUS_SYSTEM_BUS_ADDRESS: 'unix:path=/nonexistent' };

/** The longest that anything here may take, in milliseconds. */
const LIMIT = 60_000;

export interface DaemonOptions {
  /** Arguments beside the runtime directory and `restriction`. */
  readonly args?: readonly string[];
  /** Its --userns-restrict=, `off` unless given; `default` leaves it to the daemon. */
  readonly restriction?: 'off' | 'require' | 'default';
  /** Its environment beside PATH. */
  readonly env?: Readonly<Record<string, string>>;
  /** Its --worker=. */
  readonly worker?: string;
  /** One that another daemon had; by default a fresh one, which the test's end removes. */
  readonly runtimeDirectory?: string;
  /** What it is passed from descriptor 3 on, with LISTEN_FDS and LISTEN_PID. */
  readonly passed?: readonly number[];
  /** Where its program is, by default as it was built. */
  readonly program?: string;
  /** A program with its arguments that runs it, and by exec, so that its process is the daemon's: `['setpriv', …]`. */
  readonly through?: readonly string[];
}

/** How a process ended: by its exit status, or by a signal. */
export interface DaemonExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A daemon of its own, ended with the test that started it. */
export interface Daemon {
  readonly pid: number;
  readonly runtimeDirectory: string;
  /** Where it listens if it is told nothing else. */
  readonly socketPath: string;
  readonly registryDirectory: string;
  /** What it and its workers have written to their standard error so far. */
  log(): string;
  /** Waits for a line; rejects when the daemon ends without it. */
  waitForLog(pattern: RegExp): Promise<RegExpExecArray>;
  /** The processes that are its children now: workers, and for moments what it starts to look into a namespace. */
  children(): number[];
  kill(signal: NodeJS.Signals): void;
  /** The daemon itself has ended; workers may still live. */
  readonly exited: Promise<DaemonExit>;
  /** The daemon and every worker have ended, and all that they wrote is in the log. */
  readonly gone: Promise<DaemonExit>;
  /** Ends it, and who has taken over from it, by SIGTERM, or the signal given, and waits until they and their workers are gone. */
  stop(signal?: NodeJS.Signals): Promise<DaemonExit>;
}

/** Starts a daemon and waits until it accepts connections. */
export async function startDaemon(t: Test, options: DaemonOptions = {}): Promise<Daemon> {
  const daemon = launchDaemon(t, options);
  await daemon.waitForLog(/^nsresourced ready .*$/m);
  return daemon;
}

/** Starts a daemon that may have reasons not to become ready. */
export function launchDaemon(t: Test, options: DaemonOptions = {}): Daemon {
  const { args = [], restriction = 'off', env = {}, worker, passed = [], through = [] } = options;
  const { program: path = nsresourced } = options;
  const runtimeDirectory = options.runtimeDirectory ?? mkdtempSync(join(tmpdir(), 'sdrx-test-'));
  // As the real one: every user may connect.
  chmodSync(runtimeDirectory, 0o755);
  const program = [
    path,
    `--runtime-directory=${runtimeDirectory}`,
    ...(restriction === 'default' ? [] : [`--userns-restrict=${restriction}`]),
    ...(worker === undefined ? [] : [`--worker=${worker}`]),
    ...args,
  ];
  // Only the new process knows the id that LISTEN_PID must have.
  const listen =
    passed.length === 0 ? [] : ['sh', '-c', `export LISTEN_FDS=${passed.length} LISTEN_PID=$$; exec "$@"`, 'sh'];
  const [file = '', ...rest] = [...listen, ...through, process.execPath, ...program];
  const child = spawn(file, rest, {
    env: { PATH: process.env.PATH, ...NO_BUS, ...env },
    stdio: ['ignore', 'inherit', 'pipe', ...passed],
  });
  const { pid, stderr } = child;
  if (pid === undefined || stderr === null) throw new Error(`${file} can't be started`);

  let log = '';
  stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  const ended = (event: 'exit' | 'close') =>
    new Promise<DaemonExit>((resolve) => child.once(event, (code, signal) => resolve({ code, signal })));
  const exited = ended('exit');
  const orphans: number[] = [];
  const send = (signal: NodeJS.Signals) => {
    if (signal === 'SIGKILL') {
      // It stops first, as it may be starting one more worker.
      child.kill('SIGSTOP');
      while (isRunning(pid) && !isStopped(pid));
      orphans.push(...childrenOf(pid));
    }
    child.kill(signal);
  };
  // The workers have the other end of the pipe, too, so it closes when the last of them has gone. A process that is killed closes that
  // a moment before its socket.
  const gone = ended('close').then(async (exit) => {
    await until(() => !orphans.some(isRunning));
    return exit;
  });

  const isAlive = () => child.exitCode === null && child.signalCode === null;
  const daemon: Daemon = {
    pid,
    runtimeDirectory,
    socketPath: `${runtimeDirectory}/io.systemd.NamespaceResource`,
    registryDirectory: `${runtimeDirectory}/nsresource/registry`,
    log: () => log,
    waitForLog: (pattern) =>
      within(
        LIMIT,
        () => `no ${pattern} in the log:\n${log}`,
        waitFor(stderr, gone, () => pattern.exec(log)),
      ),
    children: () => childrenOf(pid),
    kill: send,
    exited,
    gone,
    stop: (signal = 'SIGTERM') => {
      if (isAlive()) send(signal);
      const successor = successorOf(pid, runtimeDirectory);
      if (successor !== undefined) process.kill(successor, signal);
      return within(LIMIT, () => `${pid} or a worker of it lives on:\n${log}`, gone);
    },
  };
  t.teardown(async () => {
    try {
      await daemon.stop();
    } finally {
      if (isAlive()) {
        for (const worker of childrenOf(pid)) process.kill(worker, 'SIGKILL');
        child.kill('SIGKILL');
      }
      const successor = successorOf(pid, runtimeDirectory);
      if (successor !== undefined) process.kill(successor, 'SIGKILL');
      if (options.runtimeDirectory === undefined) rmSync(runtimeDirectory, { recursive: true, force: true });
    }
  });
  return daemon;
}

/** The process that is the manager instead of a first one; undefined if there is none. */
function successorOf(first: number, runtimeDirectory: string): number | undefined {
  try {
    const pid = managerPid({ runtimeDirectory });
    return pid !== first && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(runtimeDirectory) ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Resolves with what `look` finds, which it does again whenever there is more to read. */
function waitFor<T>(stream: NodeJS.ReadableStream, end: Promise<unknown>, look: () => T | null): Promise<T> {
  return new Promise((resolve, reject) => {
    const check = () => {
      const found = look();
      if (found === null) return;
      stream.off('data', check);
      resolve(found);
    };
    stream.on('data', check);
    void end.then(() => {
      check();
      stream.off('data', check);
      reject(new Error('the daemon ended before'));
    });
    check();
  });
}
