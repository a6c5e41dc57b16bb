import { mkdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { main, say, UserError } from './main.js';
import { describeFailures, readResults, summary } from './results.js';
import { root } from './root.js';
import { setup } from './setup.js';
import { compiledFile, wantedTests } from './sources.js';
import { bootMachineAgain } from './vm/boot.js';
import { machineImage } from './vm/image.js';
import { machines } from './vm/machines.js';
import { payloadDisk } from './vm/payload.js';
import { installQemu } from './vm/qemu.js';

const work = `${root}/node_modules/.cache/sdrx/vm`;

/**
 * Runs tests in virtual machines.
 *
 * @param {string[]} filters parts of the paths of those that are wanted; none: all
 * @param {object} options
 * @param {string[]} [options.names] of the machines that are wanted; none: all that are not on demand
 * @param {number | undefined} [options.limit] the longest that boot and tests of a machine may take together, in seconds, in place of its own
 * @param {Promise<unknown>} [options.room] when two of them may run at a time, and not one
 * @returns {Promise<import('./results.js').TestResult[]>}
 */
export async function testInMachines(filters, { names = [], limit, room }) {
  const sources = wantedTests(filters);
  /** @type {{ machine: import('./vm/machines.js').Machine, tests: string[] }[]} */
  const wanted = machines
    .filter(({ name, onDemand = false }) => (names.length === 0 ? !onDemand : names.includes(name)))
    .map((machine) => ({ ...machine, limit: limit ?? machine.limit }))
    .map((machine) => ({ machine, tests: testsOf(machine, sources, filters.length > 0).map(compiledFile) }))
    .filter(({ tests }) => tests.length > 0);
  if (wanted.length === 0) return [];
  if (process.arch !== 'x64') {
    say(`not run, for there are machines for x64 only: ${wanted.flatMap(({ tests }) => tests).join(' ')}`);
    return [];
  }
  if (process.getuid?.() !== 0) {
    say('not run: the tests in virtual machines, whose images only root can make');
    return [];
  }
  installQemu();
  mkdirSync(work, { recursive: true });
  const payload = await payloadDisk(work, wanted);
  const runs = wanted.map(({ machine }) => {
    const folder = `${work}/${machine.name}`;
    mkdirSync(folder, { recursive: true });
    return { machine, image: machineImage(machine), payload, folder };
  });
  // Tests wait now and then, so that two machines do not keep two processors busy.
  /** @type {import('./results.js').TestResult[]} */
  const results = [];
  const next = runs.values();
  const lane = async (/** @type {Promise<unknown>} */ room = Promise.resolve()) => {
    await room;
    for (const run of next) results.push(...(await testInMachine(run)));
  };
  await Promise.all([lane(), lane(room)]);
  return results;
}

/**
 * @param {import('./vm/machines.js').Machine} machine
 * @param {string[]} sources of all tests that are wanted
 * @param {boolean} named whether they were asked for
 * @returns {string[]} those that this machine runs
 */
function testsOf({ name, tests, ifNamed }, sources, named) {
  const own = sources.filter((path) => tests.test(path));
  if (named || ifNamed === undefined) return own;
  const left = own.filter((path) => ifNamed.test(path));
  for (const path of left) say(`not run, as it takes minutes: ${path} (npm run test:vm -- --machine=${name} ${path})`);
  return own.filter((path) => !left.includes(path));
}

/**
 * @param {object} run
 * @param {import('./vm/machines.js').Machine} run.machine
 * @param {ReturnType<typeof machineImage>} run.image
 * @param {string} run.payload
 * @param {string} run.folder
 */
async function testInMachine({ machine, image, payload, folder }) {
  say(`testing in the machine ${machine.name}`);
  const start = performance.now();
  const { tap, failure } = await bootMachineAgain(machine, image, payload, folder);
  say(`the machine ${machine.name} took ${Math.round((performance.now() - start) / 1000)} s`);

  const results = await readResults(tap);
  if (failure !== undefined) results.push({ name: `the machine: ${failure}`, outcome: 'failed', details: [] });
  if (results.some(({ outcome }) => outcome === 'failed')) {
    say(`what the machine ${machine.name} left behind: ${folder}/results.tap, journal.log, console.log`);
  }
  return results.map((result) => ({ ...result, name: `${machine.name} > ${result.name}` }));
}

function commandLine() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: { machine: { type: 'string', multiple: true, default: [] }, limit: { type: 'string' } },
    });
  } catch (error) {
    throw new UserError(error instanceof Error ? error.message : String(error));
  }
}

/** `npm run test:vm -- [--machine=NAME...] [--limit=SECONDS] [part of a test's path...]` */
await main(import.meta, async () => {
  const { values, positionals } = commandLine();
  for (const name of values.machine) {
    if (machines.every((machine) => machine.name !== name))
      throw new UserError(`no machine has the name ${name}; there are ${machines.map(({ name }) => name).join(', ')}`);
  }
  const limit = values.limit === undefined ? undefined : Number(values.limit);
  // Ninety seconds of it are for the machine itself.
  if (limit !== undefined && !(Number.isInteger(limit) && limit >= 120 && limit <= 100_000))
    throw new UserError(`--limit=${values.limit} is no number of seconds from 120 to 100000`);
  await setup();
  const filters = positionals.map((arg) => arg.replace(/^\.\//, ''));
  const results = await testInMachines(filters, { names: values.machine, limit });
  if (results.length === 0 && filters.length > 0)
    throw new UserError(`no test for a machine has a path with ${filters.join(' or ')}`);
  process.stdout.write(await describeFailures(results));
  process.stdout.write(`\n${summary(results)}\n`);
  if (results.some(({ outcome }) => outcome === 'failed')) process.exitCode = 1;
});
