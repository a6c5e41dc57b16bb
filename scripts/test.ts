import { availableParallelism } from 'node:os';
import { inspect, parseArgs } from 'node:util';
import { mosquitto } from './debian/mosquitto.js';
import { installDebianPackages, packagePackages, testPackages } from './debian/packages.js';
import { runit } from './debian/runit.js';
import { testingSystemd, testingSystemdPath } from './debian/testing-systemd.js';
import { debianTree, debianTreePath } from './debian/tree.js';
import type { UnpackedPrograms } from './debian/unpacked.js';
import { testInMachines } from './machines/test-in-machines.js';
import { setup } from './setup.js';
import { javaScript } from './support/command.js';
import { say } from './support/say.js';
import { UserError } from './support/user-error.js';
import { buildTap } from './tests/build-tap.js';
import { readDurations } from './tests/durations.js';
import { matrixRuns } from './tests/matrix.js';
import { byNeed, durationKey, quickestFirst } from './tests/order.js';
import { createReport } from './tests/report.js';
import { failed, hasFailed } from './tests/results.js';
import type { FileRun } from './tests/run-file.js';
import { runFiles } from './tests/run-files.js';
import { soak, wantedTests } from './tests/wanted-tests.js';

type Environment = Readonly<Record<string, string>>;

/** After how many seconds a file that hangs is ended: what is waited for has limits of its own, on a busy machine, too. */
const TIMEOUT = 300;

/** How many files are run at a time: a test waits for half of its time. */
const JOBS = availableParallelism() + 1;

/** What tests need beside what is installed. */
interface Unpacked {
  /** Tells the tests where they find it, or will find it. */
  readonly env: Environment;
  /** Makes it. */
  make(): Promise<unknown>;
}

const nothing: Unpacked = { env: {}, make: async () => undefined };

/** Real clients of the daemon's API. */
function realClients(): Unpacked {
  if (process.env.SDRX_DEBIAN_TREE) return nothing;
  if (process.getuid?.() === 0) return { env: { SDRX_DEBIAN_TREE: debianTreePath() }, make: debianTree };
  say('the tests with real clients are not run: only root can unpack the Debian that holds them');
  return nothing;
}

/** The newest systemd, which may be out of reach: then its tests skip themselves. */
function newestSystemd(): Unpacked {
  if (process.env.SDRX_TESTING_SYSTEMD) return nothing;
  if (process.getuid?.() !== 0) {
    say("the tests with Debian testing's systemd are not run: only root can unpack it");
    return nothing;
  }
  const make = () =>
    testingSystemd().catch((error: unknown) => {
      if (!(error instanceof UserError)) throw error;
      say(`the tests with Debian testing's systemd are not run: ${error.message}`);
    });
  return { env: { SDRX_TESTING_SYSTEMD: testingSystemdPath() }, make };
}

/**
 * Programs that one test needs.
 *
 * @param variable tells the test where they are; who has set it has others
 * @param what in words
 * @param isWanted whether the test is to be run
 */
function programs(variable: string, unpacked: UnpackedPrograms, what: string, isWanted: boolean): Unpacked {
  if (process.env[variable] || !isWanted) return nothing;
  if (process.getuid?.() === 0) return { env: { [variable]: unpacked.path() }, make: unpacked.make };
  say(`the tests with ${what} are not run: only root can unpack it`);
  return nothing;
}

function commandLine(args: readonly string[]) {
  const whole = (name: string, value: string): number => {
    if (!/^[1-9]\d{0,5}$/.test(value)) throw new UserError(`--${name}=${value} is no number from 1 to 999999`);
    return Number(value);
  };
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        'no-matrix': { type: 'boolean', default: false },
        'no-vm': { type: 'boolean', default: false },
        jobs: { type: 'string', default: String(JOBS) },
        timeout: { type: 'string', default: String(TIMEOUT) },
        record: { type: 'boolean', default: false },
      },
    });
    return {
      filters: positionals.map((arg) => arg.replace(/^\.\//, '')),
      withMatrix: !values['no-matrix'],
      withMachines: !values['no-vm'],
      jobs: whole('jobs', values.jobs),
      timeout: whole('timeout', values.timeout),
      isRecorded: values.record,
    };
  } catch (error) {
    throw new UserError(error instanceof Error ? error.message : String(error));
  }
}

/**
 * `npm test -- [--no-matrix] [--no-vm] [--jobs=N] [--timeout=SECONDS] [--record] [part of a test's path...]`
 *
 * `--record` notes how long everything took for fresh clones.
 */
export async function main(args: readonly string[]): Promise<void> {
  const { filters, withMatrix, withMachines, jobs, timeout, isRecorded } = commandLine(args);
  // From the sources, so that what was compiled from a deleted one is never run.
  const sources = quickestFirst(wantedTests(filters), readDurations());
  if (sources.length === 0) throw new UserError(`no test's path contains ${filters.join(' or ') || '.test.ts'}`);

  await setup(testPackages);
  javaScript('node_modules/@biomejs/biome/bin/biome', ['check', '--error-on-warnings']);
  await buildTap();
  for (const path of filters.length === 0 ? wantedTests([soak]) : []) {
    say(`not run, as it takes minutes and says little more than shorter ones: ${path} (npm test -- --no-vm ${soak})`);
  }
  if (sources.includes('test/package/debian.test.ts')) await installDebianPackages(packagePackages);
  const isWanted = (source: string) => sources.includes(source);
  const unpacked = [
    realClients(),
    newestSystemd(),
    programs('SDRX_MOSQUITTO', mosquitto, 'a real MQTT broker', isWanted('test/examples/mqtt-listen.test.ts')),
    programs('SDRX_RUNIT', runit, 'runit', isWanted('test/e2e/runit.test.ts')),
  ];
  const env = Object.assign({}, ...unpacked.map(({ env }) => env));
  const others = withMatrix ? await matrixRuns(sources) : [];

  const report = createReport(jobs);
  const [atOnce, later] = byNeed(sources);
  const here = (sources: readonly string[]) => fileRuns(process.versions.node, process.execPath, sources);
  const [first, second] = [here(atOnce), here(later)];
  const third = others.flatMap(({ release, node, sources }) => fileRuns(release, node, sources));
  report.plan([...first, ...second, ...third]);
  const options = { jobs, timeout, env };
  const unpack = async () => {
    for (const { make } of unpacked) await make();
    return true;
  };
  const tell = (error: unknown) => {
    report.fail(failed(error instanceof UserError ? error.message : inspect(error)));
    return false;
  };
  const isUnpacked = unpack().catch(tell);
  const onNodes = async () => {
    await runFiles(first, options, report);
    await runFiles([...((await isUnpacked) ? second : []), ...third], options, report);
  };
  if (!withMachines) say('not run, as --no-vm says: the tests in virtual machines');
  const work = onNodes().catch(tell);
  await Promise.all([work, withMachines ? testInMachines(filters, report, { room: work }).catch(tell) : undefined]);
  const results = report.finish(isRecorded);
  if (hasFailed(results) || results.every(({ outcome }) => outcome !== 'passed')) process.exitCode = 1;
}

/** @param release of Node, for readers */
function fileRuns(release: string, node: string, sources: readonly string[]): FileRun[] {
  return sources.map((source) => {
    const key = durationKey(source);
    return { kind: 'file', key, name: node === process.execPath ? key : `Node ${release} > ${key}`, node, source };
  });
}
