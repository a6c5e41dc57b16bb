import t from 'tap';
import type { Here, Last, Result } from './programs/end-threads.js';
import { endThreads, everyEnding, expectedOutcomes } from './thread-endings.js';

// Each thread loads the library anew.
t.setTimeout(300_000);

const everyHere: readonly Here[] = ['nothing', 'the library', 'a loop that runs'];

for (const here of everyHere) {
  t.test(`a thread that ends, in whatever way, ends alone and leaves no descriptor; here is ${here}`, (t) => {
    const { output, exit } = endThreads({ endings: everyEnding, here, count: everyEnding.length, atOnce: 3 });
    t.match(exit, { code: 'exited', status: 0 });
    const { outcomes, before, after }: Result = JSON.parse(output);
    t.strictSame(outcomes, expectedOutcomes(1));
    t.equal(after, before, 'descriptors');
    t.end();
  });
}

const statuses: Readonly<Record<Last, number>> = { exit: 5, throw: 1, reject: 1, naturally: 0 };

for (const [last, status] of Object.entries(statuses) as [Last, number][]) {
  t.test(`the main thread ends beside threads whose loops run: ${last}`, (t) => {
    // Naturally it does not end while its own loop runs.
    for (const here of last === 'naturally' ? everyHere.slice(0, 2) : everyHere) {
      const endings = everyEnding.filter((ending) => ending.startsWith('wait'));
      const { output, exit } = endThreads({ endings, here, count: 0, atOnce: 0, last });
      t.equal(output, 'all are there\n');
      t.match(exit, { code: 'exited', status }, here);
    }
    t.end();
  });
}
