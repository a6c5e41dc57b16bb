import { cpSync, readFileSync, realpathSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, resolve } from 'node:path';
import { javaScript } from '../support/command.js';
import { root } from '../support/root.js';
import { bundleTap } from './bundle-tap.js';

/** tap's command line as JavaScript: its link in node_modules/.bin would choose the Node it runs on by itself. */
const tapProgram = 'node_modules/tap/dist/esm/run.mjs';

/**
 * Makes of tap what our tests need, in one file: without the plugins that .taprc removes. tap would leave these out by itself at its
 * first run, but by writing into files that are hard links to pnpm's store, so into every other checkout's.
 */
export async function buildTap(): Promise<void> {
  const require = createRequire(realpathSync(`${root}/node_modules/tap/package.json`));
  const testPackage = resolve(dirname(require.resolve('@tapjs/test/package.json')), 'test-built');
  const path = `${testPackage}/dist/esm/index.js`;
  const generated = readFileSync(path, 'utf8');
  if (removedPlugins().some((name) => generated.includes(name))) generate(testPackage);
  await bundleTap(path);
}

function generate(testPackage: string): void {
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
