import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { Folder } from './folder.js';
import { killed } from './killed.js';
import { programPath } from './program-path.js';

const PROGRAM = programPath('./steady-client.js', import.meta.url);

/** What became of the calls of a client; see its program. */
export interface ClientOutcome {
  readonly calls: number;
  readonly connections: number;
  /** How many answers had which error, `none` without one. */
  readonly errors: Readonly<Record<string, number>>;
  /** Why calls had no answer. */
  readonly lost: readonly string[];
}

export interface SteadyCall {
  readonly method: string;
  readonly parameters?: unknown;
}

/** Processes that call a service without a pause. */
export class SteadyClients implements AsyncDisposable {
  readonly #folder = new Folder();
  readonly #clients: { readonly child: ChildProcess; readonly output: Promise<string> }[] = [];

  /**
   * Begins another one.
   * @param kept whether it keeps its connection, or makes one for each call
   */
  start(path: string, kept: boolean, { method, parameters = {} }: SteadyCall): void {
    const args = [PROGRAM, path, this.#stop, kept ? 'kept' : 'short', method, JSON.stringify(parameters)];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const output = child.stdout?.setEncoding('utf8').toArray() ?? Promise.resolve([]);
    this.#clients.push({ child, output: output.then((parts) => parts.join('')) });
  }

  /** Ends them. @returns what became of their calls */
  async stop(): Promise<ClientOutcome[]> {
    writeFileSync(this.#stop, '');
    const texts = await Promise.all(this.#clients.map(({ output }) => output));
    return texts.map((text) => JSON.parse(text) as ClientOutcome);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map(({ child }) => killed(child)));
    this.#folder[Symbol.dispose]();
  }

  get #stop(): string {
    return this.#folder.join('stop');
  }
}
