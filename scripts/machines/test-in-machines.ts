import { mkdirSync } from 'node:fs';
import { compiledFile } from '../compile/sources.js';
import { root } from '../support/root.js';
import { say } from '../support/say.js';
import { readResults, type TestResult } from '../tests/results.js';
import { wantedTests } from '../tests/wanted-tests.js';
import { bootMachineAgain } from './boot.js';
import { type MachineImage, machineImage } from './image.js';
import { type Machine, machines } from './machines.js';
import { payloadDisk } from './payload.js';
import { installQemu } from './qemu.js';

const work = `${root}/node_modules/.cache/sdrx/vm`;

export interface TestInMachinesOptions {
  /** Of the machines that are wanted; none: all that are not on demand. */
  readonly names?: readonly string[];
  /** The longest that boot and tests of a machine may take together, in seconds, in place of its own. */
  readonly limit?: number | undefined;
  /** When two of them may run at a time, and not one. */
  readonly room?: Promise<unknown>;
}

/**
 * Runs tests in virtual machines.
 *
 * @param filters parts of the paths of those that are wanted; none: all
 */
export async function testInMachines(
  filters: readonly string[],
  { names = [], limit, room }: TestInMachinesOptions,
): Promise<TestResult[]> {
  const sources = wantedTests(filters);
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
  const runs = wanted.map(({ machine }): MachineRun => {
    const folder = `${work}/${machine.name}`;
    mkdirSync(folder, { recursive: true });
    return { machine, image: machineImage(machine), payload, folder };
  });
  // Tests wait now and then, so that two machines do not keep two processors busy.
  const results: TestResult[] = [];
  const next = runs.values();
  const lane = async (room: Promise<unknown> = Promise.resolve()) => {
    await room;
    for (const run of next) results.push(...(await testInMachine(run)));
  };
  await Promise.all([lane(), lane(room)]);
  return results;
}

/**
 * @param sources of all tests that are wanted
 * @param named whether they were asked for
 * @returns those that this machine runs
 */
function testsOf({ name, tests, ifNamed }: Machine, sources: readonly string[], named: boolean): string[] {
  const own = sources.filter((path) => tests.test(path));
  if (named || ifNamed === undefined) return own;
  const left = own.filter((path) => ifNamed.test(path));
  for (const path of left) say(`not run, as it takes minutes: ${path} (npm run test:vm -- --machine=${name} ${path})`);
  return own.filter((path) => !left.includes(path));
}

interface MachineRun {
  readonly machine: Machine;
  readonly image: MachineImage;
  /** The path of the disk. */
  readonly payload: string;
  /** Where what the machine leaves behind goes. */
  readonly folder: string;
}

async function testInMachine({ machine, image, payload, folder }: MachineRun): Promise<TestResult[]> {
  say(`testing in the machine ${machine.name}`);
  const start = performance.now();
  const { tap, failure } = await bootMachineAgain(machine, image, payload, folder);
  say(`the machine ${machine.name} took ${Math.round((performance.now() - start) / 1000)} s`);

  const results = readResults(tap);
  if (failure !== undefined) results.push({ name: `the machine: ${failure}`, outcome: 'failed', details: [] });
  if (results.some(({ outcome }) => outcome === 'failed')) {
    say(`what the machine ${machine.name} left behind: ${folder}/results.tap, journal.log, console.log`);
  }
  return results.map((result) => ({ ...result, name: `${machine.name} > ${result.name}` }));
}
