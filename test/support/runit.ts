import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, writeFileSync } from 'node:fs';
import type { Test } from 'tap';
import { Folder } from './folder.js';
import { needsRoot } from './privileges.js';
import { programPath } from './program-path.js';
import { type ProgramResult, runProgram } from './run-program.js';
import { untilOr } from './until.js';

/** Another service manager than systemd, unpacked; `npm test` does so. */
const folder = process.env.SDRX_RUNIT ?? '';

/** Options for a test that needs it. */
export const needsRunit =
  folder === '' ? { skip: 'SDRX_RUNIT names no folder with runit: npm test unpacks one as root' } : needsRoot;

const DAEMON = programPath('../../../packages/daemon', import.meta.url);

/** The longest that anything here may take, in milliseconds. */
const LIMIT = 60_000;

/** The example for runit, run by runit on a system that has no systemd: its /run is its own, and empty. runsv(8) */
export class RunitService {
  readonly #folder = new Folder();
  readonly #environment: NodeJS.ProcessEnv;
  readonly #supervisor: ChildProcess;

  /** @param options of the daemon */
  constructor(t: Test, options: string) {
    cpSync(`${DAEMON}/debian/examples/runit`, this.#folder.path, { recursive: true });
    writeFileSync(this.#folder.join('conf'), `OPTIONS='${options}'\n`);
    const { NOTIFY_SOCKET: _, NODE_OPTIONS: __, ...environment } = process.env;
    this.#environment = { ...environment, PATH: `${folder}/usr/bin:${DAEMON}/bin:${process.env.PATH}` };
    const script = 'mount -t tmpfs tmpfs /run && exec runsv "$0"';
    this.#supervisor = spawn('unshare', ['--mount', '--propagation=private', 'sh', '-c', script, this.#folder.path], {
      env: this.#environment,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    t.teardown(() => this.end());
  }

  /** Its /run/systemd as it is seen from here. */
  get runtimeDirectory(): string {
    return `/proc/${this.#supervisor.pid}/root/run/systemd`;
  }

  get socketPath(): string {
    return `${this.runtimeDirectory}/io.systemd.NamespaceResource`;
  }

  /** What the manager's program says, run where the service is. */
  ctl(...args: readonly string[]): ProgramResult {
    const enter = [`--target=${this.#supervisor.pid}`, '--mount', 'nsresourcectl', ...args];
    return runProgram('nsenter', enter, { env: this.#environment });
  }

  /** sv(8) */
  sv(command: string): string {
    return runProgram(`${folder}/usr/bin/sv`, [command, this.#folder.path], { env: this.#environment }).output;
  }

  /** Waits for what sv says of the service. */
  async status(pattern: RegExp): Promise<void> {
    await untilOr(
      LIMIT,
      () => pattern.test(this.sv('status')),
      () => this.sv('status'),
      50,
    );
  }

  /** Ends the service, and runit. */
  async end(): Promise<void> {
    if (this.#supervisor.exitCode !== null || this.#supervisor.signalCode !== null) return;
    const ended = once(this.#supervisor, 'exit');
    this.sv('exit');
    await ended;
    this.#folder[Symbol.dispose]();
  }
}
