import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { command } from './command.js';
import { say } from './main.js';
import { root } from './root.js';

/** The workspace package that holds the other Node releases: 400 MB that only the tests need. */
const matrixPackage = '@sdrx/ci';

/** What decides which packages an installation holds. */
function inputs() {
  const packages = readdirSync(`${root}/packages`).map((name) => `packages/${name}/package.json`);
  return [
    'pnpm-lock.yaml',
    'pnpm-workspace.yaml',
    'package.json',
    '.ci/package.json',
    'docs/package.json',
    ...packages,
  ];
}

function inputsHash() {
  const hash = createHash('sha256');
  for (const path of inputs()) hash.update(`${path}\0`).update(readFileSync(`${root}/${path}`));
  return hash.digest('hex');
}

/** @param {string} path */
function readIfPresent(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/**
 * Runs pnpm, of the version that package.json names, unless a stamp says that its last run had the same inputs.
 * pnpm comes through npx, which every Node has; corepack does not reach every registry.
 *
 * @param {string} folder whose node_modules is filled and holds the stamp
 * @param {string} filter pnpm's --filter
 */
function install(folder, filter) {
  const stamp = `${folder}/node_modules/.sdrx-installed`;
  const hash = inputsHash();
  if (readIfPresent(stamp) === hash) return;
  const { packageManager } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'));
  say(`installing npm packages with ${packageManager}`);
  // CI=true: pnpm asks nothing.
  command('npx', ['--yes', packageManager, 'install', '--frozen-lockfile', '--filter', filter], { CI: 'true' });
  mkdirSync(`${folder}/node_modules`, { recursive: true });
  writeFileSync(stamp, hash);
}

/** Makes node_modules what pnpm-lock.yaml says, without the Node releases of the test matrix. */
export function installDependencies() {
  install(root, `!${matrixPackage}`);
}

/** Fetches the Node releases of the test matrix. */
export function installMatrix() {
  install(`${root}/.ci`, matrixPackage);
}
