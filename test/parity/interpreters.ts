import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { plainEnvironment } from '../event/run-node.js';
import type { Folder } from '../support/folder.js';
import { programPath } from '../support/program-path.js';
import { runProgram } from '../support/run-program.js';
import { within } from '../support/within.js';

/** The longest that a scenario may take, in milliseconds. */
const LIMIT = 60_000;

export const HEADER = '/usr/include/systemd/sd-event.h';

/** Options for a test that compares with libsystemd. */
export const needsLibsystemd = existsSync(HEADER)
  ? {}
  : { skip: `${HEADER} is missing: apt-get install gcc libc6-dev libsystemd-dev` };

/** A program that interprets scenarios one after the other; one that failed is started again for the next. */
export class Interpreter implements AsyncDisposable {
  #program: Program | undefined;

  constructor(
    readonly name: string,
    readonly command: readonly string[],
    readonly folder: Folder,
  ) {}

  /** The trace of a scenario. Rejects when the program ends instead, or takes too long. */
  async run(scenario: string): Promise<string[]> {
    this.#program ??= new Program(this.command, this.folder.path);
    const program = this.#program;
    const trace: string[] = [];
    const complaint = (what: string): string =>
      [`${this.name} ${what}`, program.complaints, 'scenario:', scenario, 'trace:', ...trace].join('\n');
    try {
      await within(LIMIT, () => complaint('does not come to an end'), program.run(scenario, trace));
      return trace;
    } catch (error) {
      await this[Symbol.asyncDispose]();
      throw error instanceof ProgramEnded ? new Error(complaint('failed')) : error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program?.kill();
    this.#program = undefined;
  }
}

class ProgramEnded extends Error {
  override readonly name = 'ProgramEnded';
}

class Program {
  complaints = '';
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #exited: Promise<unknown>;
  readonly #lines: AsyncIterator<string>;

  constructor([file = '', ...args]: readonly string[], folder: string) {
    // What one that is killed leaves goes with the test's own folder.
    this.#process = spawn(file, args, { env: { ...plainEnvironment, TMPDIR: folder } });
    this.#exited = once(this.#process, 'exit');
    this.#process.stderr.on('data', (data) => {
      this.complaints += data;
    });
    // That nobody reads any more shows in the missing answer.
    this.#process.stdin.on('error', () => {});
    this.#lines = createInterface(this.#process.stdout)[Symbol.asyncIterator]();
  }

  async run(scenario: string, trace: string[]): Promise<void> {
    this.#process.stdin.write(`${scenario.trimEnd()}\nend\n`);
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done) {
        await this.#exited;
        throw new ProgramEnded();
      }
      if (value === 'end') return;
      trace.push(value);
    }
  }

  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#exited;
  }
}

/** The interpreter on our loops. */
export function ours(folder: Folder): Interpreter {
  return new Interpreter('ours', [process.execPath, programPath('./interpreter.js', import.meta.url)], folder);
}

/** The same on virtual loops. */
export function oursVirtual(folder: Folder): Interpreter {
  const program = programPath('./interpreter.js', import.meta.url);
  return new Interpreter('ours in a virtual world', [process.execPath, program, 'virtual'], folder);
}

/** The interpreter on this system's libsystemd, compiled into `folder`. */
export function theirs(folder: Folder): Interpreter {
  return new Interpreter('libsystemd', [compile(folder)], folder);
}

/** The same on the libsystemd of a newer Debian, which `npm test` unpacks; undefined without it. */
export function theirsOfTree(folder: Folder): Interpreter | undefined {
  const tree = process.env.SDRX_DEBIAN_TREE;
  if (tree === undefined) return undefined;
  const [loader, libraries] =
    process.arch === 'arm64'
      ? ['lib/ld-linux-aarch64.so.1', 'aarch64-linux-gnu']
      : ['lib64/ld-linux-x86-64.so.2', 'x86_64-linux-gnu'];
  const command = [`${tree}/${loader}`, '--library-path', `${tree}/usr/lib/${libraries}`, compile(folder)];
  return new Interpreter("the tree's libsystemd", command, folder);
}

function compile(folder: Folder): string {
  const program = folder.join('sd-event');
  if (existsSync(program)) return program;
  const source = fileURLToPath(new URL('../../parity/sd-event.c', import.meta.url));
  const { output, exit } = runProgram('gcc', [
    '-O1',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-o',
    program,
    source,
    '-lsystemd',
  ]);
  if (exit.status !== 0) throw new Error(`gcc: ${output}`);
  return program;
}
