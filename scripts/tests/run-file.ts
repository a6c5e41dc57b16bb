import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { compiledFile } from '../compile/sources.js';
import { root } from '../support/root.js';
import { show } from '../support/say.js';
import type { TestRun } from './progress.js';
import { hasFailed, readFileResults, type TestResult } from './results.js';

/** A test file, and the Node that is to run it. */
export interface FileRun extends TestRun {
  readonly kind: 'file';
  /** The path of the Node. */
  readonly node: string;
  /** The path of the file, in TypeScript, below the top folder. */
  readonly source: string;
}

export interface RunFileOptions {
  /** After how many seconds what hangs is ended, unless a test says more. */
  readonly timeout: number;
  /** How many more it has then to say so before it is killed; 30 unless told. */
  readonly grace?: number;
  /** Added to our environment. */
  readonly env: Readonly<Record<string, string>>;
}

/** How long its output may stay open after its end, in milliseconds. */
const LEFT_OPEN = 5000;

/** How many characters are shown of what a file wrote to its standard error, if it failed. */
const SHOWN = 4000;

/** Runs a compiled test file, as `node FILE` would. */
export async function runFile(
  { node, source, name }: FileRun,
  { timeout, grace = 30, env }: RunFileOptions,
): Promise<TestResult[]> {
  const child = spawn(node, ['--enable-source-maps', compiledFile(source)], {
    cwd: root,
    env: { ...process.env, TAP_TIMEOUT: String(timeout), ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const kill = () => child.kill('SIGKILL');
  let end = globalThis.setTimeout(kill, (timeout + grace) * 1000);
  let tap = '';
  let errors = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    tap += text;
  });
  // By that tap tells of `t.setTimeout()`.
  child.on('message', (message) => {
    if (typeof message !== 'object' || message === null || !('setTimeout' in message)) return;
    clearTimeout(end);
    const limit = Number(message.setTimeout);
    // 0 is none.
    if (limit > 0) end = globalThis.setTimeout(kill, limit + grace * 1000);
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-SHOWN);
  });
  const closed = once(child, 'close');
  const [status, signal] = await once(child, 'exit');
  // What it left behind may hold its output open.
  await Promise.race([closed, setTimeout(LEFT_OPEN, undefined, { ref: false })]);
  for (const stream of [child.stdout, child.stderr]) stream?.destroy();
  clearTimeout(end);
  let failure: string | undefined;
  if (signal !== null) failure = `it was killed by ${signal}`;
  // What fails in it does so, too.
  else if (status !== 0 && !/^ *not ok /m.test(tap)) failure = `it ended with exit code ${status}`;
  else if (!/^1\.\.\d+/m.test(tap)) failure = 'it ended before it had a plan';
  const words = failure !== undefined && errors !== '' ? `${failure}\n${errors}` : failure;
  const results = readFileResults(name, tap, words);
  if (failure === undefined && hasFailed(results) && errors !== '')
    show(`\nWhat ${name} wrote to standard error:\n${errors}`);
  return results;
}
