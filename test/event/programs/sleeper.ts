import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { EventLoop, idle, PassedFds, ServedConnections } from '@sdrx/event';
import type { Fd } from '@sdrx/linux';
import { tap } from 'rxjs';

// Serves the socket that it is passed, and leaves when it was idle for a random time of up to LONGEST milliseconds. With `often` it
// does not end then: it lives again for each line of its input. Each life ends with a line of output: see Life.
const [how = 'once', longest = '0'] = process.argv.slice(2);

/** A life that is over. */
export interface Life {
  /** When it paused for the last time, by the monotonic clock, in milliseconds. */
  readonly paused: number;
  /** How often something waited then, so that it stayed. */
  readonly stays: number;
}

async function live(fd: Fd): Promise<void> {
  const loop = new EventLoop();
  const server = createServer((_, response) => response.end('done'));
  const served = new ServedConnections(server).listen(fd);
  served.resume();
  let [paused, pauses] = [0, 0];
  served.pause = () => {
    paused = Number(process.hrtime.bigint()) / 1e6;
    pauses++;
    ServedConnections.prototype.pause.call(served);
  };
  const options = { after: Math.random() * Number(longest), minimumUptime: 0 };
  await loop.run(idle(loop, [served], options).pipe(tap(() => loop.exit())));
  // As the end of the process does it: whoever was accepted by now loses his connection.
  await served.drain({ signal: AbortSignal.abort() });
  console.log(JSON.stringify({ paused, stays: pauses - 1 } satisfies Life));
}

using fds = new PassedFds();
using fd = fds.takeNext()?.fd;
if (fd === undefined) throw new Error('it was passed no socket');
if (how === 'once') await live(fd);
else for await (const _ of createInterface(process.stdin)) await live(fd);
