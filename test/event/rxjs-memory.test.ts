import t from 'tap';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';

/** More than a garbage collector's whims, less than the smallest object a round. */
const NOISE = 1e6;

t.test('100,000 subscriptions that ended leave neither memory nor descriptors, whatever the kind', (t) => {
  const program = programPath('./programs/subscribe-and-unsubscribe.js', import.meta.url);
  const { output, exit } = runNode(['--expose-gc', program, '100000']);
  t.match(exit, { code: 'exited', status: 0 });
  const growth: Record<string, Record<'heap' | 'fds' | 'watched', number>> = JSON.parse(output);
  t.equal(Object.keys(growth).length, 11);
  for (const [kind, { heap, fds, watched }] of Object.entries(growth)) {
    t.ok(heap < NOISE, `${kind}: ${heap} bytes`);
    t.strictSame([fds, watched], [0, 0], kind);
  }
  t.end();
});

t.test('a subscription keeps no Observable, and one that has ended no values', (t) => {
  const program = programPath('./programs/keep-subscriptions.js', import.meta.url);
  const { output, exit } = runNode(['--expose-gc', program]);
  t.match(exit, { code: 'exited', status: 0 });
  t.strictSame(JSON.parse(output), { observable: false, values: [false, false] });
  t.end();
});
