import { execFileSync } from 'node:child_process';
import { script } from './command.js';
import { testPackages } from './debian-packages.js';
import { debianTree } from './debian-tree.js';
import { installMatrix } from './dependencies.js';
import { main, say, UserError } from './main.js';
import { mosquitto } from './mosquitto.js';
import { describeFailures, readResults, slowestFiles, summary } from './results.js';
import { root } from './root.js';
import { setup } from './setup.js';
import { compiledFile, soak, wantedTests } from './sources.js';
import { buildTap, runTap } from './tap.js';
import { testInMachines } from './test-vm.js';

/** Other releases of Node, and the tests that depend on Node's own loop and threads. */
const matrix = ['22', '24', '26'];
const matrixTests = /^test\/(event|linux)\//;

/** Those of them that start many processes, which takes time and is the same in all releases: on the newest one only. */
const newestOnly =
  /^test\/event\/(restart|run-service|supervis|hand-over|idle-exit|pid-file|control-socket|sdrx-control)/;

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

/**
 * Where the tests find an MQTT broker.
 *
 * @param {string[]} sources of the tests that are wanted
 * @returns {Record<string, string>} environment
 */
function broker(sources) {
  if (process.env.SDRX_MOSQUITTO || !sources.includes('test/examples/mqtt-listen.test.ts')) return {};
  if (process.getuid?.() === 0) return { SDRX_MOSQUITTO: mosquitto() };
  say('the tests with a real MQTT broker are not run: only root can unpack one');
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
  return matrix.map((release) => ({
    node: `${root}/.ci/node_modules/node-${release}/bin/node`,
    sources: wanted.filter((path) => release === matrix.at(-1) || !newestOnly.test(path)),
  }));
}

/**
 * What needs a kernel that a virtual machine has.
 *
 * @param {string[]} args
 * @param {string[]} filters
 * @param {Promise<unknown>} room when there is time for two at once
 */
async function machineResults(args, filters, room) {
  if (!args.includes('--no-vm')) return testInMachines(filters, { room });
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
  // From the sources, so that what was compiled from a deleted one is never run.
  const sources = wantedTests(filters);
  for (const path of filters.length === 0 ? wantedTests([soak]) : []) {
    say(`not run, as it takes minutes and says little more than shorter ones: ${path} (npm test -- --no-vm ${soak})`);
  }
  const env = { ...realClients(), ...broker(sources) };
  if (sources.length === 0) throw new UserError(`no test's path contains ${filters.join(' or ') || '.test.ts'}`);
  const others = args.includes('--no-matrix') ? [] : matrixRuns(sources);

  /** @param {{ node: string, sources: string[] }} run */
  const onNode = async (run) => {
    const version = execFileSync(run.node, ['--version'], { encoding: 'utf8' }).trim();
    say(`testing on Node ${version}`);
    const start = performance.now();
    const { tap, ok } = await runTap(run.node, run.sources.map(compiledFile), options, env);
    const seconds = Math.round((performance.now() - start) / 1000);
    say(
      `Node ${version} took ${seconds} s; of the files that ran side by side, the longest: ${await slowestFiles(tap)}`,
    );
    const found = await readResults(tap);
    // tap's word stands, whatever its output shows.
    const doubt = !ok && found.every(({ outcome }) => outcome !== 'failed');
    if (doubt) found.push({ name: 'tap itself', outcome: 'failed', details: [] });
    if (!process.stdout.isTTY) process.stdout.write(await describeFailures(found));
    return found;
  };
  const results = await onNode({ node: process.execPath, sources });
  // Tests wait now and then, and leave some time to one virtual machine.
  const onOthers = (async () => {
    /** @type {import('./results.js').TestResult[]} */
    const found = [];
    for (const run of others) found.push(...(await onNode(run)));
    return found;
  })();
  const fromMachines = await machineResults(args, filters, onOthers);
  results.push(...(await onOthers), ...fromMachines);
  process.stdout.write(await describeFailures(fromMachines));
  process.stdout.write(`\n${summary(results)}\n`);
  const passed = results.some(({ outcome }) => outcome === 'passed');
  if (!passed || results.some(({ outcome }) => outcome === 'failed')) process.exitCode = 1;
});
