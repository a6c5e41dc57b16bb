// Tells its service manager a lot, at its start and when SIGTERM comes, and ends then.
import { EventLoop, exitOnSignal, notify } from '@sdrx/event';

const loop = new EventLoop();
const finished = loop.run(exitOnSignal(loop));
for (let number = 0; number < 100; number++) notify({ ERRNO: number });
process.stdout.write('ready\n');
process.exitCode = await finished;
notify({ STOPPING: 1 });
