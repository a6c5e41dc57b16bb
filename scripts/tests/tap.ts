import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, cpSync, mkdtempSync, openSync, readFileSync, realpathSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, resolve } from 'node:path';
import { javaScript } from '../support/command.js';
import { root } from '../support/root.js';

/** tap's command line as JavaScript: its link in node_modules/.bin would choose the Node it runs on by itself. */
const tapProgram = 'node_modules/tap/dist/esm/run.mjs';

/**
 * Generates tap's Test class without the plugins that .taprc removes. tap would do it by itself at its first run,
 * but by writing into files that are hard links to pnpm's store, so into every other checkout's.
 */
export function buildTap(): void {
  const require = createRequire(realpathSync(`${root}/node_modules/tap/package.json`));
  const testPackage = resolve(dirname(require.resolve('@tapjs/test/package.json')), 'test-built');
  const generated = readFileSync(`${testPackage}/dist/esm/index.js`, 'utf8');
  if (removedPlugins().every((name) => !generated.includes(name))) return;
  const copy = `${testPackage}.copy`;
  rmSync(copy, { recursive: true, force: true });
  cpSync(testPackage, copy, { recursive: true, verbatimSymlinks: true });
  rmSync(testPackage, { recursive: true });
  renameSync(copy, testPackage);
  javaScript(tapProgram, ['build']);
}

/** What .taprc has left out. */
function removedPlugins(): string[] {
  return [...readFileSync(`${root}/.taprc`, 'utf8').matchAll(/^ *- '!(.*)'$/gm)].map(([, name = '']) => name);
}

export interface TapRun {
  /** What the tests said, in TAP. */
  readonly tap: string;
  /** Whether tap was content. */
  readonly ok: boolean;
}

/**
 * Runs compiled tests. On a terminal tap reports as it goes; elsewhere its progress would be noise, and only what the
 * tests write to standard error is shown.
 *
 * @param node path of the Node that runs tap and the tests
 * @param files compiled tests, below the top folder
 * @param options for tap
 * @param env added to our environment
 */
export async function runTap(
  node: string,
  files: readonly string[],
  options: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<TapRun> {
  const folder = mkdtempSync(`${tmpdir()}/sdrx-tap-`);
  const path = `${folder}/output.tap`;
  const output = openSync(path, 'w');
  const report = process.stdout.isTTY ? ['--reporter=base', `--output-file=${path}`] : ['--reporter=tap'];
  try {
    const tap = spawn(node, [tapProgram, 'run', ...report, ...options, ...files], {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', process.stdout.isTTY ? 'inherit' : output, 'inherit'],
    });
    const [status] = await once(tap, 'exit');
    return { tap: readFileSync(path, 'utf8'), ok: status === 0 };
  } finally {
    closeSync(output);
    rmSync(folder, { recursive: true });
  }
}
