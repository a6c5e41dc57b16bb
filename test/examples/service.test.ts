import { readFileSync } from 'node:fs';
import { sigqueue } from '@sdrx/linux';
import t from 'tap';
import { programPath } from '../support/program-path.js';
import { ServiceManager } from '../support/service-manager.js';
import { RunningExample } from './running-example.js';

t.test('the service of the README is the example', async (t) => {
  const readme = readFileSync(programPath('../../../README.md', import.meta.url), 'utf8');
  const example = readFileSync(programPath('../../../examples/service.ts', import.meta.url), 'utf8');
  t.ok(readme.includes(`\`\`\`ts\n${example}\`\`\``));
});

t.test('the example is ready, obeys a queued signal, and stops on SIGTERM', async (t) => {
  const manager = new ServiceManager(t);
  const example = new RunningExample(t, 'service', { environment: { NOTIFY_SOCKET: manager.notifySocket } });
  await manager.waitFor(/^READY=1$/);
  sigqueue(example.pid, 'SIGRTMIN+18', 42);
  await example.prints(`process ${process.pid} sent 42`);

  example.kill('SIGTERM');
  t.equal(await example.ended(), 0);
  await manager.waitFor(/^STOPPING=1$/);
  t.equal(manager.notifications.length, 2);
});
