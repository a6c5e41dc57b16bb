import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { passedSocket } from '../support/passed-socket.js';
import { programPath } from '../support/program-path.js';
import { ServiceManager } from '../support/service-manager.js';
import { RunningExample } from './running-example.js';

async function answer(path: string): Promise<string> {
  const [text] = await once(connect(path), 'data');
  return String(text);
}

t.test('the README of the package begins with it', async (t) => {
  const readme = readFileSync(programPath('../../../packages/event/README.md', import.meta.url), 'utf8');
  const example = readFileSync(programPath('../../../examples/uptime.ts', import.meta.url), 'utf8');
  t.ok(readme.startsWith(`# @sdrx/event\n\n\`\`\`ts\n${example}\`\`\`\n`));
});

t.test('it serves the socket that it is passed, with all that a service manager wants', async (t) => {
  const manager = new ServiceManager(t);
  const { path, fd } = passedSocket(t);
  const environment = { NOTIFY_SOCKET: manager.notifySocket, WATCHDOG_USEC: '1000000' };
  const example = new RunningExample(t, 'uptime', { environment, listener: fd.number });
  await manager.waitFor(/^READY=1$/);
  t.match(await answer(path), /^up for \d+(\.\d+)? ms, client 1\n$/);
  t.match(await answer(path), /client 2\n$/);
  example.kill('SIGUSR1');
  await example.prints(`2 clients, process ${process.pid}`);
  await manager.waitFor(/^WATCHDOG=1$/);

  example.kill('SIGTERM');
  t.equal(await example.ended(), 0);
  await manager.waitFor(/^STOPPING=1$/);
});

t.test('it makes a socket of its own if none is passed, and tells the manager its number of clients', async (t) => {
  using folder = new Folder();
  const manager = new ServiceManager(t);
  const path = folder.join('socket');
  const example = new RunningExample(t, 'uptime', {
    args: [path],
    environment: { NOTIFY_SOCKET: manager.notifySocket },
  });
  await manager.waitFor(/^READY=1$/);
  t.match(await answer(path), /client 1\n$/);
  await manager.waitFor(/^STATUS=1 clients$/);

  example.kill('SIGINT');
  t.equal(await example.ended(), 0);
});
