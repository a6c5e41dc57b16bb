// Has a process in the user namespace of another one until it is killed. For namespace-process.test.ts.
import { openSync } from 'node:fs';
import { enterUserNamespace, HelperLauncher, LocalQuota } from '@sdrx/daemon';
import { EventLoop } from '@sdrx/event';

const [, , pid = ''] = process.argv;
const loop = new EventLoop();
const launcher = new HelperLauncher(loop);
enterUserNamespace({ loop, launcher, helpers: new LocalQuota(1) }, openSync(`/proc/${pid}/ns/user`, 'r'), 0).subscribe(
  () => process.send?.(launcher.pid),
);
await loop.run();
