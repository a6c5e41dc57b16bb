import t from 'tap';
import { RunningExample } from './running-example.js';

t.test('it answers while it computes', async (t) => {
  const example = new RunningExample(t, 'defer', { args: ['1000000000000'] });
  await example.prints(`process ${example.pid} computes`);
  example.kill('SIGUSR1');
  await example.prints(/^\d+ of 1000000000000 points$/);
  example.kill('SIGTERM');
  t.equal(await example.ended(), 0);
});

t.test('it computes to the end', async (t) => {
  const example = new RunningExample(t, 'defer', { args: ['1000000'] });
  t.equal(await example.ended(), 0);
  t.match(example.lines.at(-1), /^by 1000000 points pi is 3\.1[34]/);
});
