import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { within } from './within.js';

/** How long strace(1) may take to attach, and to let go before it is killed, in milliseconds. */
const LIMIT = 60_000;
const END_LIMIT = 3000;

/** A system call of a process that fails instead of being made. */
export interface Fault {
  readonly call: string;
  /** Such as ENOSPC. */
  readonly error: string;
  /** Which one of the calls by this name, of each thread, from 1 on. */
  readonly when: number;
}

export interface WatchOptions {
  readonly fault?: Fault | undefined;
  /** Whether a process that becomes another program is let go. */
  readonly untilExec?: boolean;
}

/** Options for a test that needs it. */
export const needsStrace = canTrace()
  ? {}
  : { skip: 'strace(1) is not there, or must not trace: ptrace(2) is refused' };

function canTrace(): boolean {
  return spawnSync('strace', ['-o', '/dev/null', 'true']).status === 0;
}

/** Watches the system calls of a process and its threads, and may let one of them fail. strace(1) */
export class SystemCalls {
  readonly #strace: ChildProcess;
  readonly #folder: string;
  readonly #ended: Promise<unknown>;

  private constructor(strace: ChildProcess, folder: string) {
    this.#strace = strace;
    this.#folder = folder;
    this.#ended = once(strace, 'exit');
  }

  /** Returns once the process is watched, with all threads and processes that it starts. */
  static async watch(
    pid: number,
    calls: readonly string[],
    { fault, untilExec = false }: WatchOptions = {},
  ): Promise<SystemCalls> {
    const folder = mkdtempSync(join(tmpdir(), 'sdrx-test-'));
    const messages = openSync(join(folder, 'messages'), 'w');
    const inject = fault && [`--inject=${fault.call}:error=${fault.error}:when=${fault.when}`];
    const detach = untilExec ? ['--detach-on=execve'] : [];
    const args = ['-f', '-y', '-p', String(pid), '-o', join(folder, 'calls'), '-e', `trace=${calls.join(',')}`];
    const strace = spawn('strace', [...args, ...detach, ...(inject ?? [])], { stdio: ['ignore', 'ignore', messages] });
    closeSync(messages);
    const watch = new SystemCalls(strace, folder);
    await within(LIMIT, () => `strace: ${watch.#messages()}`, watch.#attached());
    return watch;
  }

  /** Lets the process go. @returns what was seen */
  async end(): Promise<SeenCalls> {
    this.#strace.kill('SIGINT');
    // It waits for ever for a process that died as it let go.
    const timer = setTimeout(() => this.#strace.kill('SIGKILL'), END_LIMIT);
    await this.#ended;
    clearTimeout(timer);
    const text = readFileSync(join(this.#folder, 'calls'), 'utf8');
    rmSync(this.#folder, { recursive: true });
    return new SeenCalls(text);
  }

  #messages(): string {
    return readFileSync(join(this.#folder, 'messages'), 'utf8');
  }

  async #attached(): Promise<void> {
    while (!/attached/.test(this.#messages())) {
      if (this.#strace.exitCode !== null) throw new Error(`strace ended: ${this.#messages()}`);
      await new Promise((resolve) => setTimeout(resolve, 3));
    }
  }
}

/** The system calls that were seen of a process. */
export class SeenCalls {
  /** How often each call was seen, by name, at most in one thread: as `when` of a fault counts, too. */
  readonly counts: ReadonlyMap<string, number>;
  /** The lines of those that were let fail. Where one took two lines, both: the first tells what it was about. */
  readonly injected: readonly string[];
  readonly #calls: readonly { readonly name: string; readonly when: number; readonly line: string }[];

  /** @param text the output of strace(1) */
  constructor(text: string) {
    this.#calls = callsIn(text);
    const counts = new Map<string, number>();
    for (const { name, when } of this.#calls) counts.set(name, Math.max(when, counts.get(name) ?? 0));
    this.counts = counts;
    this.injected = injectedIn(text);
  }

  /** Which ones of the calls by a name, of their threads, a pattern fits. */
  find(call: string, pattern: RegExp): number[] {
    const found = this.#calls.filter(({ name, line }) => name === call && pattern.test(line));
    return [...new Set(found.map(({ when }) => when))];
  }
}

function callsIn(text: string): { name: string; when: number; line: string }[] {
  const counts = new Map<string, number>();
  return [...text.matchAll(/^(\d+) +(\w+)\(.*$/gm)].map(([line, thread = '', name = '']) => {
    const when = (counts.get(`${thread} ${name}`) ?? 0) + 1;
    counts.set(`${thread} ${name}`, when);
    return { name, when, line };
  });
}

function injectedIn(text: string): string[] {
  const unfinished = new Map<string, string>();
  return text.split('\n').flatMap((line) => {
    const [thread = ''] = line.split(' ', 1);
    const isResumed = line.includes(' resumed>');
    const whole = isResumed ? `${unfinished.get(thread) ?? ''}${line}` : line;
    if (line.endsWith('<unfinished ...>')) unfinished.set(thread, line);
    return line.includes('(INJECTED)') ? [whole] : [];
  });
}
