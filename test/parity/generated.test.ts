import fc from 'fast-check';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { generatedScenario } from './generated-scenario.js';
import { needsLibsystemd, ours, theirs } from './interpreters.js';

/** PARITY_RUNS and PARITY_SEED repeat a failed run, or look for longer. */
const numRuns = Number(process.env.PARITY_RUNS ?? 1000);
const seed = process.env.PARITY_SEED;

t.test(`${numRuns} generated scenarios leave the same trace as on libsystemd`, needsLibsystemd, async (t) => {
  using folder = new Folder();
  await using here = ours(folder);
  await using there = theirs(folder);

  let ties = 0;
  const sameTrace = fc.asyncProperty(generatedScenario, async (scenario) => {
    const [trace, expected] = await Promise.all([here.run(scenario), there.run(scenario)]);
    if (expected.at(-1) === 'tie') {
      ties++;
      return;
    }
    if (trace.join('\n') === expected.join('\n')) return;
    throw new Error(['ours:', ...trace, '', 'expected:', ...expected, '', 'of the scenario:', scenario].join('\n'));
  });
  await fc.assert(sameTrace, { numRuns, ...(seed === undefined ? {} : { seed: Number(seed) }) });
  t.comment(`${ties} were left to chance`);
  t.ok(ties < numRuns / 2, 'most were not left to chance');
});
