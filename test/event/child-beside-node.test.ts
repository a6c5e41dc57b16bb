import { spawn as nodeSpawn } from 'node:child_process';
import { EventLoop } from '@sdrx/event';
import { spawn } from '@sdrx/linux';
import { lastValueFrom } from 'rxjs';
import t from 'tap';

// In a file of its own: from its first child on Node catches SIGCHLD, and keeps a descriptor or two.
t.test("children of Node's own and of ours end each where they belong", async (t) => {
  using loop = new EventLoop();
  const finished = loop.run();
  const nodes = Array.from({ length: 20 }, (_, status) => {
    const child = nodeSpawn('sh', ['-c', `exit ${status}`], { stdio: 'ignore' });
    return new Promise((resolve) => child.once('exit', resolve));
  });
  const ours = Array.from({ length: 20 }, async (_, status) => {
    using child = spawn('sh', { args: ['-c', `exit ${100 + status}`] });
    return (await lastValueFrom(loop.child(child))).status;
  });
  t.strictSame(
    await Promise.all(nodes),
    nodes.map((_, status) => status),
  );
  t.strictSame(
    await Promise.all(ours),
    ours.map((_, status) => 100 + status),
  );
  loop.exit();
  await finished;
});
