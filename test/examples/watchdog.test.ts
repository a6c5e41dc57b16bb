import t from 'tap';
import { ServiceManager } from '../support/service-manager.js';
import { RunningExample } from './running-example.js';

t.test('there are signs of life while a slow job runs', async (t) => {
  const manager = new ServiceManager(t);
  const environment = { NOTIFY_SOCKET: manager.notifySocket, WATCHDOG_USEC: '100000' };
  const example = new RunningExample(t, 'watchdog', { environment });
  await manager.waitFor(/^READY=1$/m);
  example.kill('SIGUSR1');
  await manager.waitFor(/^STATUS=exited with 0$/);

  const { notifications } = manager;
  const begin = notifications.indexOf(`STATUS=works for process ${process.pid}`);
  const end = notifications.indexOf('STATUS=exited with 0');
  const signs = notifications.slice(begin, end).filter((text) => text === 'WATCHDOG=1');
  t.ok(begin !== -1 && signs.length >= 2, `${signs.length} signs of life`);
  example.kill('SIGTERM');
  t.equal(await example.ended(), 0);
});

t.test('it runs without a service manager, too', async (t) => {
  const example = new RunningExample(t, 'watchdog', {
    environment: { NOTIFY_SOCKET: undefined, WATCHDOG_USEC: undefined },
  });
  await example.prints(/is ready$/);
  example.kill('SIGINT');
  t.equal(await example.ended(), 0);
});
