import { mkdirSync } from 'node:fs';
import { main, say, UserError } from './main.js';
import { describeFailures, readResults, summary } from './results.js';
import { root } from './root.js';
import { setup } from './setup.js';
import { compiledFile, sourceFiles } from './sources.js';
import { bootMachineAgain } from './vm/boot.js';
import { machineImage } from './vm/image.js';
import { machines } from './vm/machines.js';
import { payloadDisk } from './vm/payload.js';
import { installQemu } from './vm/qemu.js';

/**
 * Runs tests in virtual machines.
 *
 * @param {string[]} filters parts of the paths of those that are wanted; none: all
 * @returns {Promise<import('./results.js').TestResult[]>}
 */
export async function testInMachines(filters) {
  const sources = sourceFiles()
    .filter((path) => path.endsWith('.test.ts'))
    .filter((path) => filters.length === 0 || filters.some((filter) => path.includes(filter)))
    .sort();
  /** @type {{ machine: import('./vm/machines.js').Machine, tests: string[] }[]} */
  const wanted = machines
    .map((machine) => ({ machine, tests: sources.filter((path) => machine.tests.test(path)).map(compiledFile) }))
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
  const runs = wanted.map(({ machine, tests }) => {
    const folder = `${root}/node_modules/.cache/sdrx/vm/${machine.name}`;
    mkdirSync(folder, { recursive: true });
    return { machine, image: machineImage(machine), payload: payloadDisk(folder, machine, tests), folder };
  });
  // Tests wait now and then, so that two machines do not keep two processors busy.
  /** @type {import('./results.js').TestResult[]} */
  const results = [];
  const next = runs.values();
  const lane = async () => {
    for (const run of next) results.push(...(await testInMachine(run)));
  };
  await Promise.all([lane(), lane()]);
  return results;
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

/** `npm run test:vm -- [part of a test's path...]` */
await main(import.meta, async () => {
  await setup();
  const filters = process.argv.slice(2).map((arg) => arg.replace(/^\.\//, ''));
  const results = await testInMachines(filters);
  if (results.length === 0 && filters.length > 0)
    throw new UserError(`no test for a machine has a path with ${filters.join(' or ')}`);
  process.stdout.write(await describeFailures(results));
  process.stdout.write(`\n${summary(results)}\n`);
  if (results.some(({ outcome }) => outcome === 'failed')) process.exitCode = 1;
});
