import { existsSync, readFileSync } from 'node:fs';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { ServiceManager } from '../support/service-manager.js';
import { RunningExample } from './running-example.js';

t.test('it ends in the order of its priorities', async (t) => {
  using folder = new Folder();
  const manager = new ServiceManager(t);
  const pidFile = folder.join('service.pid');
  const example = new RunningExample(t, 'exiting', {
    args: [pidFile],
    environment: { NOTIFY_SOCKET: manager.notifySocket },
  });
  await example.prints('ready');
  t.equal(readFileSync(pidFile, 'utf8'), `${example.pid}\n`);

  example.kill('SIGTERM');
  t.equal(await example.ended(), 0);
  t.strictSame(example.lines, ['ready', 'no new jobs', 'finished first job', 'finished second job']);
  t.notOk(existsSync(pidFile), 'the pid file is gone');
  await manager.waitFor(/^STOPPING=1$/m);
});
