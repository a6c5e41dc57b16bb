import { beforeSpawn, spawn } from '@sdrx/linux';
import t from 'tap';
import { waitForExit } from '../support/wait-for-exit.js';

t.test('what is to be done before a process is started is done each time, until it is not wanted any more', (t) => {
  let times = 0;
  const start = () => {
    using child = spawn('true');
    waitForExit(child);
  };
  {
    using _hook = beforeSpawn(() => times++);
    start();
    start();
    t.equal(times, 2);
  }
  start();
  t.equal(times, 2);
  t.end();
});
