import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { compiledFile } from '../compile/sources.js';
import { root } from '../support/root.js';
import { say } from '../support/say.js';
import type { TestRun } from '../tests/progress.js';
import type { Report } from '../tests/report.js';
import { failed, hasFailed, readResults, readUnfinished, type TestResult } from '../tests/results.js';
import { wantedTests } from '../tests/wanted-tests.js';
import { type Boot, bootMachineAgain } from './boot.js';
import { bootContainer, containerLimit, whyNoContainer } from './container.js';
import { type MachineImage, machineImage } from './image.js';
import { type Machine, machines, needSystemdOnly } from './machines.js';
import { type MachineTests, payloadDisk } from './payload.js';
import { installQemu } from './qemu.js';

const work = `${root}/node_modules/.cache/sdrx/vm`;

/** How often it is looked at what a machine's tests have said, in milliseconds. */
const LOOK = 15_000;

export interface TestInMachinesOptions {
  /** Of the machines that are wanted; none: all that are not on demand. */
  readonly names?: readonly string[];
  /** The longest that boot and tests of a machine may take together, in seconds, in place of its own. */
  readonly limit?: number | undefined;
  /** When two of them may run at a time, and not one. */
  readonly room?: Promise<unknown>;
  /** Whether containers are not to be used, however possible they are. */
  readonly emulateAll?: boolean;
}

/** What a machine or a container runs. */
interface MachineRun extends MachineTests, TestRun {
  readonly kind: 'machine';
  readonly isContainer: boolean;
}

/**
 * Runs tests in virtual machines, and in containers of their systems those for which that is enough.
 *
 * @param filters parts of the paths of those that are wanted; none: all
 */
export async function testInMachines(
  filters: readonly string[],
  report: Report,
  { names = [], limit, room, emulateAll = false }: TestInMachinesOptions = {},
): Promise<void> {
  const sources = wantedTests(filters);
  const wanted = machines
    .filter(({ name, onDemand = false }) => (names.length === 0 ? !onDemand : names.includes(name)))
    .map((machine) => ({ ...machine, limit: limit ?? machine.limit }))
    .map((machine) => ({ machine, tests: sources.filter((path) => machine.tests.test(path)) }))
    .filter(({ tests }) => tests.length > 0);
  if (wanted.length === 0) return;
  if (process.arch !== 'x64') {
    say(`not run, for there are machines for x64 only: ${wanted.flatMap(({ tests }) => tests).join(' ')}`);
    return;
  }
  if (process.getuid?.() !== 0) {
    say('not run: the tests in virtual machines, whose images only root can make');
    return;
  }
  const withContainers = !emulateAll && (await canHaveContainers(wanted));
  const runs = wanted.flatMap(({ machine, tests }) => runsOf(machine, tests, withContainers, filters.length > 0));
  report.plan(runs);
  const images = makeImages(runs);
  if (runs.some(({ isContainer }) => !isContainer)) await installQemu();
  mkdirSync(work, { recursive: true });
  const payload = await payloadDisk(work, runs);
  const lane = async (next: Iterable<MachineRun>, begin: Promise<unknown> = Promise.resolve()) => {
    await begin;
    for (const run of next) await testInMachine(run, await images(run), payload, report);
  };
  const next = runs.filter(({ isContainer }) => !isContainer).values();
  const containers = runs.filter(({ isContainer }) => isContainer);
  // Tests wait now and then, so that two machines do not keep two processors busy.
  await Promise.all([lane(containers), lane(next), lane(next, room)]);
}

/** Makes the images one after the other, while the first machines run. @returns what waits for that of a run */
function makeImages(runs: readonly MachineRun[]): (run: MachineRun) => Promise<MachineImage> {
  const images = new Map<MachineRun, Promise<MachineImage>>();
  let last: Promise<unknown> = Promise.resolve();
  for (const run of runs) {
    const image = last.then(() => machineImage(run.machine));
    images.set(run, image);
    // Who waits for it is told.
    last = image.catch(() => undefined);
  }
  return (run) => images.get(run) ?? machineImage(run.machine);
}

/** Whether containers can be made here. If not, it is said why. */
async function canHaveContainers(wanted: readonly MachineSources[]): Promise<boolean> {
  const [first] = wanted.filter(({ tests }) => tests.some((path) => needSystemdOnly.test(path)));
  if (first === undefined) return false;
  const why = await whyNoContainer(await machineImage(first.machine));
  if (why !== undefined)
    say(`a container is refused here, so that a slower machine runs all tests for which it would do: ${why}`);
  return why === undefined;
}

interface MachineSources {
  readonly machine: Machine;
  /** The paths of their sources. */
  readonly tests: readonly string[];
}

/**
 * @param sources of all tests of the machine that are wanted
 * @param named whether they were asked for
 * @returns what the machine runs, and what a container of its system does
 */
function runsOf(
  machine: Machine,
  sources: readonly string[],
  withContainers: boolean,
  named: boolean,
): readonly MachineRun[] {
  const isContained = (path: string) => withContainers && needSystemdOnly.test(path);
  const isLeft = (path: string) => !named && !isContained(path) && machine.ifNamed?.test(path) === true;
  for (const path of sources.filter(isLeft))
    say(`not run, as it takes minutes: ${path} (npm run test:vm -- --machine=${machine.name} ${path})`);
  const run = (name: string, isContainer: boolean): MachineRun => ({
    kind: 'machine',
    key: named ? undefined : `machine/${name}`,
    name,
    named,
    isContainer,
    machine: isContainer ? { ...machine, limit: containerLimit } : machine,
    tests: sources.filter((path) => !isLeft(path) && isContained(path) === isContainer).map(compiledFile),
  });
  return [run(machine.name, false), run(`${machine.name}-container`, true)].filter(({ tests }) => tests.length > 0);
}

async function testInMachine(run: MachineRun, image: MachineImage, payload: string, report: Report): Promise<void> {
  const { name, machine, isContainer } = run;
  const folder = `${work}/${name}`;
  mkdirSync(folder, { recursive: true });
  const own = (results: readonly TestResult[]) =>
    results.map((result) => ({ ...result, name: `${name} > ${result.name}` }));
  const where = isContainer ? `a container of Debian ${machine.suite}` : `the machine ${name}`;
  say(`testing in ${where}`);
  report.start(run);
  const start = performance.now();
  const look = setInterval(() => {
    const tap = `${folder}/results.tap`;
    if (existsSync(tap)) report.update(run, own(readUnfinished(readFileSync(tap, 'utf8'))));
  }, LOOK);
  let boot: Boot;
  try {
    boot = isContainer
      ? await bootContainer(name, image, payload, folder)
      : await bootMachineAgain(machine, image, payload, folder);
  } finally {
    clearInterval(look);
  }
  const results = readResults(boot.tap);
  if (boot.failure !== undefined) results.push(failed(`${where}: ${boot.failure}`));
  report.end(run, own(results));
  say(`${where} took ${Math.round((performance.now() - start) / 1000)} s`);
  if (hasFailed(results)) say(`what it left behind: ${folder}/results.tap, journal.log, console.log`);
}
