import { readFileSync } from 'node:fs';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { RunningExample } from './running-example.js';

t.test('a program that fails is started again until it ends well', async (t) => {
  using folder = new Folder();
  const runs = folder.join('runs');
  const script = `echo run >> ${runs}; [ "$(wc -l < ${runs})" -eq 3 ] || exit 7`;
  const example = new RunningExample(t, 'restart', { args: ['sh', '-c', script] });
  t.equal(await example.ended(), 0);
  t.equal(readFileSync(runs, 'utf8'), 'run\nrun\nrun\n');
  t.equal(example.lines.filter((line) => line === 'exited, status 7').length, 2);
});

t.test('it gives up when the program fails again and again', async (t) => {
  const example = new RunningExample(t, 'restart', { args: ['sh', '-c', 'kill -KILL $$'] });
  t.equal(await example.ended(), 1);
  t.equal(example.lines.filter((line) => line.startsWith('started')).length, 6);
  t.equal(example.lines.filter((line) => line === 'killed, status 9').length, 6);
});

t.test('when it ends, the program does', async (t) => {
  const example = new RunningExample(t, 'restart', { args: ['sleep', '1000'] });
  await example.prints(/^started/);
  const pid = Number(/\d+/.exec(example.output));
  example.kill('SIGTERM');
  t.equal(await example.ended(), 0);
  t.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
});
