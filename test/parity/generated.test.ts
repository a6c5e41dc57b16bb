import fc from 'fast-check';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { generatedScenario } from './generated-scenario.js';
import { type Interpreter, needsLibsystemd, ours, oursVirtual, theirs } from './interpreters.js';

/** PARITY_RUNS and PARITY_SEED repeat a failed run, or look for longer. */
const numRuns = Number(process.env.PARITY_RUNS ?? 600);
const seed = process.env.PARITY_SEED;

/** So many on virtual loops, where they take less time, … */
const more = 3 * numRuns;

/** … and so many in both worlds. */
const both = Math.ceil(numRuns / 4);

t.test(`${numRuns} generated scenarios leave the same trace as on libsystemd`, needsLibsystemd, async (t) => {
  using folder = new Folder();
  await using here = ours(folder);
  await using there = theirs(folder);
  const ties = await compare(here, there, numRuns);
  t.comment(`${ties} were left to chance`);
  t.ok(ties < numRuns / 2, 'most were not left to chance');
});

t.test(`${more} of them do in a virtual world`, needsLibsystemd, async (t) => {
  using folder = new Folder();
  await using virtual = oursVirtual(folder);
  await using there = theirs(folder);
  const ties = await compare(virtual, there, more);
  t.ok(ties < more / 2, 'most were not left to chance');
});

t.test(`${both} of them leave the same trace in both worlds, also where sd-event leaves it to chance`, async (t) => {
  using folder = new Folder();
  await using here = ours(folder);
  await using virtual = oursVirtual(folder);
  await t.resolves(compare(virtual, here, both));
});

/** Rejects when one leaves another trace than is expected. @returns how many were left to chance */
async function compare(one: Interpreter, other: Interpreter, numRuns: number): Promise<number> {
  let ties = 0;
  const sameTrace = fc.asyncProperty(generatedScenario, async (scenario) => {
    const [trace, expected] = await Promise.all([one.run(scenario), other.run(scenario)]);
    if (expected.at(-1) === 'tie') {
      ties++;
      return;
    }
    if (trace.join('\n') === expected.join('\n')) return;
    const lines = [`${one.name}:`, ...trace, '', `${other.name}:`, ...expected, '', 'of the scenario:', scenario];
    throw new Error(lines.join('\n'));
  });
  await fc.assert(sameTrace, { numRuns, ...(seed === undefined ? {} : { seed: Number(seed) }) });
  return ties;
}
