import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Test } from 'tap';
import { programPath } from '../support/program-path.js';
import { untilOr } from '../support/until.js';

/** The longest that an example may take for anything, in milliseconds. */
const LIMIT = 60_000;

export interface ExampleOptions {
  readonly args?: readonly string[];
  readonly environment?: NodeJS.ProcessEnv;
  /** A socket, or several, to pass as a service manager does. sd_listen_fds(3) */
  readonly listener?: number | readonly number[];
}

/** One of `examples/`, by its name, running as a user runs it. */
export class RunningExample {
  /** What it has printed so far. */
  output = '';
  readonly #child: ChildProcess;
  readonly #end: Promise<unknown[]>;

  constructor(t: Test, name: string, { args = [], environment = {}, listener }: ExampleOptions = {}) {
    const path = programPath(`../../../examples/dist/${name}.js`, import.meta.url);
    // tap puts back the NODE_OPTIONS by which it has every Node load a module of its own.
    const command = ['-u', 'NODE_OPTIONS', process.execPath, path, ...args];
    // Only the new process itself can tell the id that it is told.
    const listeners = [listener ?? []].flat();
    const asTold = `LISTEN_PID=$$ LISTEN_FDS=${listeners.length} exec "$0" "$@"`;
    if (listeners.length > 0) command.splice(2, 0, 'sh', '-c', asTold);
    this.#child = spawn('env', command, {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'inherit', ...listeners],
    });
    this.#end = once(this.#child, 'close');
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.output += text;
    });
    t.teardown(() => this.#child.kill('SIGKILL'));
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('the example did not start');
    return this.#child.pid;
  }

  get lines(): string[] {
    return this.output.split('\n').slice(0, -1);
  }

  /** Waits until what it has printed matches. */
  async prints(pattern: RegExp | string): Promise<void> {
    const found = () =>
      this.lines.some((line) => (typeof pattern === 'string' ? line === pattern : pattern.test(line)));
    await untilOr(LIMIT, found, () => `${pattern} is not what it prints:\n${this.output}`);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Stops it until SIGCONT, so that it then finds all at once what came meanwhile. */
  async pause(): Promise<void> {
    this.kill('SIGSTOP');
    const paused = () => /^State:\s*T/m.test(readFileSync(`/proc/${this.pid}/status`, 'ascii'));
    await untilOr(LIMIT, paused, () => 'it does not stop');
  }

  /** Waits for its end. @returns its exit code, or the signal that killed it */
  async ended(): Promise<unknown> {
    const [code, signal] = await this.#end;
    return code ?? signal;
  }
}
