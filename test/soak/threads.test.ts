import t from 'tap';
import type { Result } from '../event/programs/end-threads.js';
import { endThreads, everyEnding, expectedOutcomes } from '../event/thread-endings.js';

const ROUNDS = 84;

t.setTimeout(900_000);

t.test('more than a thousand threads end in every way, and no descriptor is left', (t) => {
  const count = ROUNDS * everyEnding.length;
  const { output, exit } = endThreads({ endings: everyEnding, here: 'nothing', count, atOnce: 4 });
  t.match(exit, { code: 'exited', status: 0 });
  const { outcomes, before, after }: Result = JSON.parse(output);
  t.strictSame(outcomes, expectedOutcomes(ROUNDS));
  t.equal(after, before, 'descriptors');
  t.end();
});
