import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { atExit } from './at-exit.js';

/** How long a child may take to end once it is told to, in milliseconds, before it is killed. */
const PATIENCE = 10_000;

/** A child process, which does not outlive this object. Its standard error is shown only if it fails. */
export class Child implements AsyncDisposable {
  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #lines: AsyncIterator<string>;
  readonly #ended: Promise<unknown>;
  readonly #disposed: () => void;
  #errors = '';

  constructor(command: readonly string[], env: NodeJS.ProcessEnv = process.env) {
    const [file = '', ...args] = command;
    this.#process = spawn(file, args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
    this.#process.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#errors = (this.#errors + text).slice(-2000);
    });
    // It may be gone before it has read everything.
    this.#process.stdin.on('error', () => {});
    this.#lines = createInterface(this.#process.stdout)[Symbol.asyncIterator]();
    this.#ended = once(this.#process, 'close').catch(() => {});
    this.#disposed = atExit(() => this.#process.kill('SIGKILL'));
  }

  get pid(): number {
    const { pid } = this.#process;
    if (pid === undefined) throw new Error(`${this.#process.spawnfile} could not be started`);
    return pid;
  }

  get running(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** The next line of its output. Rejects, with what it wrote to standard error, if it ends without one. */
  async line(): Promise<string> {
    const { done, value } = await this.#lines.next();
    if (done !== true) return value;
    await this.#ended;
    throw this.failure();
  }

  /** Ends its input and waits until it has ended by itself. Rejects if it fails. */
  async finish(): Promise<void> {
    this.#process.stdin.end();
    await this.#ended;
    this.#disposed();
    if (this.#process.exitCode !== 0) throw this.failure();
  }

  failure(): Error {
    const { spawnfile, exitCode, signalCode } = this.#process;
    return new Error(`${spawnfile} ended with ${exitCode ?? signalCode}\n${this.#errors}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.stdin.end();
    if (this.running) this.#process.kill('SIGTERM');
    const overdue = new AbortController();
    const killed = setTimeout(PATIENCE, undefined, { signal: overdue.signal }).then(
      () => this.#process.kill('SIGKILL'),
      () => {},
    );
    await this.#ended;
    overdue.abort();
    await killed;
    this.#disposed();
  }
}
