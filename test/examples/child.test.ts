import t from 'tap';
import { RunningExample } from './running-example.js';

t.test('the exit status of the program is its own', async (t) => {
  const example = new RunningExample(t, 'child', { args: ['sh', '-c', 'exit 3'] });
  t.equal(await example.ended(), 3);
  t.match(example.lines[0], /^sh runs as process \d+$/);
  t.equal(example.lines[1], 'it exited with 3');
});

t.test('of a program that is killed it tells the signal', async (t) => {
  const example = new RunningExample(t, 'child', { args: ['sh', '-c', 'kill -TERM $$'] });
  t.equal(await example.ended(), 128 + 15);
  t.equal(example.lines[1], 'it was killed by SIGTERM');
});
