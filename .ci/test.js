import { execFileSync } from 'node:child_process';
import { script } from './command.js';
import { testPackages } from './debian-packages.js';
import { debianTree } from './debian-tree.js';
import { installMatrix } from './dependencies.js';
import { main, say, UserError } from './main.js';
import { describeFailures, readResults, summary } from './results.js';
import { root } from './root.js';
import { setup } from './setup.js';
import { compiledFile, sourceFiles } from './sources.js';
import { buildTap, runTap } from './tap.js';
import { testInMachines } from './test-vm.js';

/** Other releases of Node, and the tests that depend on Node's own loop and threads. */
const matrix = ['22', '24', '26'];
const matrixTests = /^test\/(event|linux)\//;

/** Tests that do what others do, but for long: only if they are asked for. */
const soak = 'test/soak/';

/** @param {string} path @param {string[]} filters */
function isWanted(path, filters) {
  return filters.length === 0 ? !path.startsWith(soak) : filters.some((filter) => path.includes(filter));
}

/**
 * Where the tests find real clients of the daemon's API.
 *
 * @returns {Record<string, string>} environment
 */
function realClients() {
  if (process.env.SDRX_DEBIAN_TREE) return {};
  if (process.getuid?.() === 0) return { SDRX_DEBIAN_TREE: debianTree() };
  say('the tests with real clients are not run: only root can unpack the Debian that holds them');
  return {};
}

/** @param {string[]} sources of the tests that are wanted @returns {{ node: string, sources: string[] }[]} */
function matrixRuns(sources) {
  const wanted = sources.filter((path) => matrixTests.test(path));
  if (wanted.length === 0) return [];
  if (process.arch !== 'x64') {
    say(`not run on Node ${matrix.join(', ')}: there are binaries for x64 only, this is ${process.arch}`);
    return [];
  }
  installMatrix();
  return matrix.map((release) => ({ node: `${root}/.ci/node_modules/node-${release}/bin/node`, sources: wanted }));
}

/** What needs a kernel that a virtual machine has. @param {string[]} args @param {string[]} filters */
function machineResults(args, filters) {
  if (!args.includes('--no-vm')) return testInMachines(filters);
  say('not run, as --no-vm says: the tests in virtual machines');
  return [];
}

/** `npm test -- [--no-matrix] [--no-vm] [option of tap...] [part of a test's path...]` */
await main(import.meta, async () => {
  const args = process.argv.slice(2);
  const filters = args.filter((arg) => !arg.startsWith('-')).map((arg) => arg.replace(/^\.\//, ''));
  const options = args.filter((arg) => arg.startsWith('-') && !['--no-matrix', '--no-vm'].includes(arg));

  await setup({ packages: testPackages });
  script('node_modules/@biomejs/biome/bin/biome', ['check', '--error-on-warnings']);
  buildTap();
  const env = realClients();

  // From the sources, so that what was compiled from a deleted one is never run.
  const tests = sourceFiles().filter((path) => path.startsWith('test/') && path.endsWith('.test.ts'));
  const sources = tests.filter((path) => isWanted(path, filters)).sort();
  for (const path of filters.length === 0 ? tests.filter((path) => path.startsWith(soak)) : []) {
    say(`not run, as it takes minutes and says little more than shorter ones: ${path} (npm test -- --no-vm ${soak})`);
  }
  if (sources.length === 0) throw new UserError(`no test's path contains ${filters.join(' or ') || '.test.ts'}`);
  const others = args.includes('--no-matrix') ? [] : matrixRuns(sources);

  /** @type {import('./results.js').TestResult[]} */
  const results = [];
  for (const run of [{ node: process.execPath, sources }, ...others]) {
    say(`testing on Node ${execFileSync(run.node, ['--version'], { encoding: 'utf8' }).trim()}`);
    const { tap, ok } = runTap(run.node, run.sources.map(compiledFile), options, env);
    const found = await readResults(tap);
    // tap's word stands, whatever its output shows.
    const doubt = !ok && found.every(({ outcome }) => outcome !== 'failed');
    if (doubt) found.push({ name: 'tap itself', outcome: 'failed', details: [] });
    if (!process.stdout.isTTY) process.stdout.write(await describeFailures(found));
    results.push(...found);
  }
  const fromMachines = await machineResults(args, filters);
  process.stdout.write(await describeFailures(fromMachines));
  results.push(...fromMachines);
  process.stdout.write(`\n${summary(results)}\n`);
  const passed = results.some(({ outcome }) => outcome === 'passed');
  if (!passed || results.some(({ outcome }) => outcome === 'failed')) process.exitCode = 1;
});
