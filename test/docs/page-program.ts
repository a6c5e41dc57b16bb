import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import type { Test } from 'tap';
import type { Folder } from '../support/folder.js';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';
import { untilOr } from '../support/until.js';

/** The longest that a program may take for anything, in milliseconds. */
const LIMIT = 60_000;

const root = programPath('../../..', import.meta.url);

/** Whether there is such a page. */
export function pageExists(page: string): boolean {
  return existsSync(`${root}/docs/${page}.md`);
}

/** A program of a page: the first one of `serve` by that name, the second one by `serve-2`. */
function programOf(name: string): string {
  const [, page = '', number = '1'] = /^(.*?)(?:-(\d))?$/.exec(name) ?? [];
  const programs = [...readFileSync(`${root}/docs/${page}.md`, 'utf8').matchAll(/^```ts\n(.*?)^```$/gms)];
  const [, program] = programs[Number(number) - 1] ?? [];
  if (program === undefined) throw new Error(`docs/${page}.md has no such program`);
  return program;
}

/** Compiles programs of pages, with all checks on, in a folder. Throws what the compiler says. */
export function compilePages(folder: Folder, pages: readonly string[]): void {
  compilePrograms(folder, new Map(pages.map((page) => [page, programOf(page)])));
}

/** Compiles programs, by their names, with all checks on, in a folder that is new. Throws what the compiler says. */
export function compilePrograms(folder: Folder, programs: ReadonlyMap<string, string>): void {
  symlinkSync(`${root}/node_modules`, folder.join('node_modules'));
  writeFileSync(folder.join('package.json'), '{ "type": "module" }');
  for (const [name, program] of programs) writeFileSync(folder.join(`${name}.ts`), program);
  const options = ['--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess', '--rootDir', folder.path];
  const language = ['--ignoreConfig', '--target', 'es2022', '--module', 'nodenext', '--types', 'node'];
  const types = ['--typeRoots', `${root}/node_modules/@types`];
  const files = [...programs.keys()].map((name) => folder.join(`${name}.ts`));
  const { output, exit } = runNode([
    `${root}/node_modules/typescript/bin/tsc`,
    ...options,
    ...language,
    ...types,
    ...files,
  ]);
  if (exit.status !== 0) throw new Error(output);
}

/** A program of a page that was compiled, running as a reader runs it. */
export class PageProgram {
  /** What it has printed so far. */
  output = '';
  readonly #child: ChildProcess;
  readonly #end: Promise<unknown[]>;

  constructor(t: Test, folder: Folder, page: string, args: readonly string[], environment: NodeJS.ProcessEnv) {
    // tap puts back the NODE_OPTIONS by which it has every Node load a module of its own.
    const command = ['-u', 'NODE_OPTIONS', process.execPath, folder.join(`${page}.js`), ...args];
    this.#child = spawn('env', command, {
      cwd: folder.path,
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#end = once(this.#child, 'close');
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.output += text;
    });
    t.teardown(() => this.#child.kill('SIGKILL'));
  }

  /** Waits until what it has printed matches. */
  async prints(pattern: RegExp): Promise<void> {
    await untilOr(
      LIMIT,
      () => pattern.test(this.output),
      () => `${pattern} is not what it prints:\n${this.output}`,
    );
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Waits for its end. @returns its exit code, or the signal that killed it */
  async ended(): Promise<unknown> {
    const [code, signal] = await this.#end;
    return code ?? signal;
  }
}
