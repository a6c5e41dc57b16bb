import { openSync } from 'node:fs';
import { Fd, write } from '@sdrx/linux';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { runProgram } from '../support/run-program.js';
import { RunningExample } from './running-example.js';

t.test('the cache is dropped whenever the service manager tells of pressure', async (t) => {
  using folder = new Folder();
  const path = folder.join('fifo');
  runProgram('mkfifo', [path]);
  using manager = new Fd(openSync(path, 'r+'));
  const example = new RunningExample(t, 'memory-pressure', { environment: { MEMORY_PRESSURE_WATCH: path } });
  await example.prints('ready');
  for (let time = 0; time < 2; time++) {
    write(manager.number, Buffer.from('x'));
    await example.prints(/^dropping \d+ pages$/);
    example.output = '';
  }
  example.kill('SIGTERM');
  t.equal(await example.ended(), 0);
});

t.test('where nothing tells of pressure it goes on', async (t) => {
  const example = new RunningExample(t, 'memory-pressure', { environment: { MEMORY_PRESSURE_WATCH: '/dev/null' } });
  await example.prints(/^the cache stays: .*EHOSTDOWN/);
  example.kill('SIGTERM');
  t.equal(await example.ended(), 0);
});
