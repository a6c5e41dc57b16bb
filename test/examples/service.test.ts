import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { EventLoop } from '@sdrx/event';
import { bind, read, SOCK_DGRAM, sigqueue, unixSocket } from '@sdrx/linux';
import { firstValueFrom, map } from 'rxjs';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { programPath } from '../support/program-path.js';

const program = programPath('../../../examples/dist/service.js', import.meta.url);

t.test('the service of the README is the example', async (t) => {
  const readme = readFileSync(programPath('../../../README.md', import.meta.url), 'utf8');
  const example = readFileSync(programPath('../../../examples/service.ts', import.meta.url), 'utf8');
  t.ok(readme.includes(`\`\`\`ts\n${example}\`\`\``));
});

t.test('the example is ready, obeys a queued signal, and stops on SIGTERM', async (t) => {
  using folder = new Folder();
  using manager = unixSocket(SOCK_DGRAM);
  bind(manager.number, folder.join('notify'));
  using loop = new EventLoop();
  const finished = loop.run();
  const nextMessage = () =>
    firstValueFrom(
      loop.io(manager.number).pipe(
        map(() => {
          const message = Buffer.alloc(256);
          return message.toString('utf8', 0, read(manager.number, message));
        }),
      ),
    );

  const child = spawn(process.execPath, [program], {
    env: { ...process.env, NOTIFY_SOCKET: folder.join('notify') },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exit = once(child, 'exit');
  const output = once(child.stdout.setEncoding('utf8'), 'data');
  t.equal(await nextMessage(), 'READY=1');

  sigqueue(child.pid ?? 0, 'SIGRTMIN+18', 42);
  t.strictSame(await output, [`process ${process.pid} sent 42\n`]);

  child.kill('SIGTERM');
  t.equal(await nextMessage(), 'STOPPING=1');
  t.strictSame(await exit, [0, null]);
  loop.exit();
  await finished;
});
