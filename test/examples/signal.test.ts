import { sigqueue } from '@sdrx/linux';
import t from 'tap';
import { RunningExample } from './running-example.js';

t.test('it says who sent a signal, and the number that came with it', async (t) => {
  const example = new RunningExample(t, 'signal');
  await example.prints(`process ${example.pid} is ready`);
  example.kill('SIGHUP');
  await example.prints(`reloading, as process ${process.pid} of user ${process.getuid?.()} wants`);
  sigqueue(example.pid, 'SIGRTMIN+18', 7);
  await example.prints(`log level 7, as process ${process.pid} wants`);

  example.kill('SIGTERM');
  t.equal(await example.ended(), 0);
});
