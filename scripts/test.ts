import { execFileSync } from 'node:child_process';
import { compiledFile } from './compile/sources.js';
import { mosquitto } from './debian/mosquitto.js';
import { testPackages } from './debian/packages.js';
import { debianTree } from './debian/tree.js';
import { testInMachines } from './machines/test-in-machines.js';
import { setup } from './setup.js';
import { javaScript } from './support/command.js';
import { say } from './support/say.js';
import { UserError } from './support/user-error.js';
import { matrixRuns, type NodeRun } from './tests/matrix.js';
import { describeFailures, readResults, slowestFiles, summary, type TestResult } from './tests/results.js';
import { buildTap, runTap } from './tests/tap.js';
import { soak, wantedTests } from './tests/wanted-tests.js';

type Environment = Readonly<Record<string, string>>;

/** Tells the tests where they find real clients of the daemon's API. */
function realClients(): Environment {
  if (process.env.SDRX_DEBIAN_TREE) return {};
  if (process.getuid?.() === 0) return { SDRX_DEBIAN_TREE: debianTree() };
  say('the tests with real clients are not run: only root can unpack the Debian that holds them');
  return {};
}

/**
 * Tells the tests where they find an MQTT broker.
 *
 * @param sources of the tests that are wanted
 */
function broker(sources: readonly string[]): Environment {
  if (process.env.SDRX_MOSQUITTO || !sources.includes('test/examples/mqtt-listen.test.ts')) return {};
  if (process.getuid?.() === 0) return { SDRX_MOSQUITTO: mosquitto() };
  say('the tests with a real MQTT broker are not run: only root can unpack one');
  return {};
}

/**
 * Runs tests on one Node and shows what failed.
 *
 * @param options for tap
 */
async function testOnNode(run: NodeRun, options: readonly string[], env: Environment): Promise<TestResult[]> {
  const version = execFileSync(run.node, ['--version'], { encoding: 'utf8' }).trim();
  say(`testing on Node ${version}`);
  const start = performance.now();
  const { tap, ok } = await runTap(run.node, run.sources.map(compiledFile), options, env);
  const seconds = Math.round((performance.now() - start) / 1000);
  say(`Node ${version} took ${seconds} s; of the files that ran side by side, the longest: ${slowestFiles(tap)}`);
  const found = readResults(tap);
  // tap's word stands, whatever its output shows.
  const doubt = !ok && found.every(({ outcome }) => outcome !== 'failed');
  if (doubt) found.push({ name: 'tap itself', outcome: 'failed', details: [] });
  if (!process.stdout.isTTY) process.stdout.write(describeFailures(found));
  return found;
}

/** One after another. */
async function testOnNodes(
  runs: readonly NodeRun[],
  options: readonly string[],
  env: Environment,
): Promise<TestResult[]> {
  const results: TestResult[] = [];
  for (const run of runs) results.push(...(await testOnNode(run, options, env)));
  return results;
}

/** `npm test -- [--no-matrix] [--no-vm] [option of tap...] [part of a test's path...]` */
export async function main(args: readonly string[]): Promise<void> {
  const filters = args.filter((arg) => !arg.startsWith('-')).map((arg) => arg.replace(/^\.\//, ''));
  const options = args.filter((arg) => arg.startsWith('-') && !['--no-matrix', '--no-vm'].includes(arg));
  // From the sources, so that what was compiled from a deleted one is never run.
  const sources = wantedTests(filters);
  if (sources.length === 0) throw new UserError(`no test's path contains ${filters.join(' or ') || '.test.ts'}`);

  await setup(testPackages);
  javaScript('node_modules/@biomejs/biome/bin/biome', ['check', '--error-on-warnings']);
  buildTap();
  for (const path of filters.length === 0 ? wantedTests([soak]) : []) {
    say(`not run, as it takes minutes and says little more than shorter ones: ${path} (npm test -- --no-vm ${soak})`);
  }
  const env = { ...realClients(), ...broker(sources) };
  const others = args.includes('--no-matrix') ? [] : matrixRuns(sources);

  const onThisNode = await testOnNode({ node: process.execPath, sources }, options, env);
  // Tests wait now and then, and leave some time to one virtual machine. These need a kernel that a virtual machine has.
  const onOtherNodes = testOnNodes(others, options, env);
  const withMachines = !args.includes('--no-vm');
  if (!withMachines) say('not run, as --no-vm says: the tests in virtual machines');
  const inMachines = withMachines ? await testInMachines(filters, { room: onOtherNodes }) : [];
  const results = [...onThisNode, ...(await onOtherNodes), ...inMachines];
  process.stdout.write(describeFailures(inMachines));
  process.stdout.write(`\n${summary(results)}\n`);
  const passed = results.some(({ outcome }) => outcome === 'passed');
  if (!passed || results.some(({ outcome }) => outcome === 'failed')) process.exitCode = 1;
}
