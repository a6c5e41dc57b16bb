/**
 * Runs a script of this folder: `node scripts/run.js NAME [argument...]` compiles scripts/NAME.ts and calls its main().
 * In JavaScript, since Node 20 runs no TypeScript: here is what a fresh clone needs before the scripts can be compiled.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { fileURLToPath } from 'node:url';

/** @typedef {{ main?: (args: readonly string[]) => unknown }} Script */

const root = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');
const scripts = `${root}/scripts`;
const dist = `${scripts}/dist`;

/**
 * As in package.json's `engines`, which npm only warns of: the first minor release of each major one that has `require` of
 * ES modules. Of a major one that is not here, and newer, all have it.
 *
 * @type {Record<number, number>}
 */
const oldestMinor = { 20: 19, 22: 12 };

/** Where all goes that programs write which set something up; support/command.ts has it, too. */
const setUpLog = 'node_modules/.cache/sdrx/set-up.log';

/** sysexits.h: EX_NOPERM */
const noPermission = 77;

/** Scripts that only root can run, and why. @type {Record<string, string>} */
const rootOnly = { start: 'only root may hand out ids to user namespaces. Run it as root: sudo npm start' };

/** What the compiled scripts have in support/user-error.ts: shown without a stack. */
class UserError extends Error {
  /** @override */
  name = 'UserError';
}

/** @param {string} text */
function say(text) {
  process.stderr.write(`sdrx: ${text}\n`);
}

function checkMachine() {
  const { platform, versions } = process;
  const [major = 0, minor = 0] = versions.node.split('.').map(Number);
  if (platform !== 'linux') throw new UserError(`sdrx runs on Linux only, not on ${platform}`);
  if (major < 23 && minor < (oldestMinor[major] ?? Infinity)) {
    throw new UserError(`sdrx needs Node 20.19 or newer, or 22.12 or newer; this is ${versions.node}`);
  }
}

/**
 * Runs a program to its end in the repository's top folder, its output on our standard error.
 *
 * @param {string} program
 * @param {string[]} args
 */
function command(program, args) {
  const { status, signal, error } = spawnSync(program, args, { cwd: root, stdio: ['ignore', 2, 2] });
  if (status === 0) return;
  const cause = error?.message ?? (signal ? `killed by ${signal}` : `exit code ${status}`);
  throw new UserError(`${[program, ...args].join(' ')}: ${cause}`);
}

/**
 * The same for a program that sets something up, about which nobody wants to read unless it fails: its output goes to a log. Says
 * how long it took.
 *
 * @param {string} what it does
 * @param {number} about how long it takes where nothing is cached, in seconds
 * @param {string} program
 * @param {string[]} args
 */
function step(what, about, program, args) {
  const folder = `${root}/node_modules/.cache/sdrx`;
  mkdirSync(folder, { recursive: true });
  say(`${what}: about ${about} s; what it says is in ${setUpLog}`);
  const start = performance.now();
  const log = openSync(`${root}/${setUpLog}`, 'a');
  // CI=true: pnpm asks nothing.
  const options = { cwd: root, env: { ...process.env, CI: 'true' } };
  const { status, signal, error } = spawnSync(program, args, { ...options, stdio: ['ignore', log, log] });
  closeSync(log);
  if (status !== 0) {
    const cause = error?.message ?? (signal ? `killed by ${signal}` : `exit code ${status}`);
    const last = readFileSync(`${root}/${setUpLog}`, 'utf8').trimEnd().split('\n').slice(-30).join('\n');
    throw new UserError(`${[program, ...args].join(' ')}: ${cause}\n${last}\nAll of it: ${root}/${setUpLog}`);
  }
  say(`${what}: done in ${Math.round((performance.now() - start) / 1000)} s`);
}

/** @param {string} stamp path of a file @param {string} state @returns {boolean} whether the file holds that */
function isCurrent(stamp, state) {
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === state;
}

/**
 * Makes node_modules what pnpm-lock.yaml says, without the Node releases of tests/matrix.ts, unless a stamp says that the last
 * installation had the same inputs. pnpm is the version that package.json names. It comes through npx, which every Node has;
 * corepack does not reach every registry.
 */
function installDependencies() {
  const packages = readdirSync(`${root}/packages`).map((name) => `packages/${name}/package.json`);
  const own = ['package.json', 'scripts/package.json', 'docs/package.json'];
  const hash = createHash('sha256');
  for (const path of ['pnpm-lock.yaml', 'pnpm-workspace.yaml', ...own, ...packages])
    hash.update(`${path}\0`).update(readFileSync(`${root}/${path}`));
  const state = hash.digest('hex');
  const stamp = `${root}/node_modules/.sdrx-installed`;
  if (isCurrent(stamp, state)) return;
  const { packageManager } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'));
  const options = ['--frozen-lockfile', '--filter', '!@sdrx/scripts'];
  const install = ['--yes', packageManager, 'install', ...options];
  step(`installing npm packages with ${packageManager}`, 20, 'npx', install);
  writeFileSync(stamp, state);
}

/** @param {string} [folder] with a slash at its end, below scripts/ @returns {string[]} TypeScript, as paths below scripts/ */
function sourceFiles(folder = '') {
  return readdirSync(`${scripts}/${folder}`, { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}${entry.name}`;
    if (!entry.isDirectory()) return path.endsWith('.ts') ? [path] : [];
    return ['dist', 'node_modules'].includes(path) ? [] : sourceFiles(`${path}/`);
  });
}

/** Compiles scripts/ when something is stale. */
function compileScripts() {
  const sources = sourceFiles();
  const settings = ['pnpm-lock.yaml', 'tsconfig.json', 'scripts/tsconfig.json'];
  const inputs = [...settings, ...sources.map((path) => `scripts/${path}`)].map((path) => {
    const { size, mtimeMs } = statSync(`${root}/${path}`);
    return `${path} ${size} ${mtimeMs}\n`;
  });
  const state = inputs.join('');
  const stamp = `${dist}/.compiled`;
  const compiled = sources.filter((path) => !path.endsWith('.d.ts')).map(compiledFile);
  const isComplete = () => compiled.every((path) => existsSync(path));
  if (isCurrent(stamp, state) && isComplete()) return;
  const tsc = [`${root}/node_modules/typescript/bin/tsc`, '--build', scripts];
  command(process.execPath, tsc);
  // tsc trusts its own notes and does not miss a file that someone removed.
  if (!isComplete()) command(process.execPath, [...tsc, '--force']);
  writeFileSync(stamp, state);
}

/** @param {string} source path below scripts/ @returns {string} */
function compiledFile(source) {
  return `${dist}/${source.replace(/\.ts$/, '.js')}`;
}

/** @param {string} name */
function noSuchScript(name) {
  return new UserError(`there is no script with the name '${name}': package.json has those that there are`);
}

/** @param {string} name @param {string[]} args */
async function run(name, args) {
  checkMachine();
  if (!existsSync(`${scripts}/${name}.ts`)) throw noSuchScript(name);
  const refusal = rootOnly[name];
  if (refusal !== undefined && process.getuid?.() !== 0) {
    say(refusal);
    process.exitCode = noPermission;
    return;
  }
  installDependencies();
  compileScripts();
  process.setSourceMapsEnabled(true);
  /** @type {Script} */
  const { main } = await import(compiledFile(`${name}.ts`));
  if (main === undefined) throw noSuchScript(name);
  await main(args);
}

try {
  const [, , name = '', ...args] = process.argv;
  await run(name, args);
} catch (error) {
  if (!(error instanceof Error && error.name === 'UserError')) throw error;
  say(error.message);
  process.exitCode = 1;
}
