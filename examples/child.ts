/**
 * Runs a program, tells how it ended, and ends as it did, as a shell says it: 128 and the signal if one killed it.
 *
 *     node examples/dist/child.js sh -c 'exit 3'
 */
import { EventLoop } from '@sdrx/event';
import { signalName, spawn } from '@sdrx/linux';
import { tap } from 'rxjs';

const loop = new EventLoop();
const [program = 'true', ...args] = process.argv.slice(2);
using child = spawn(program, { args });
console.log(`${program} runs as process ${child.pid}`);

const end = loop.child(child).pipe(
  tap(({ code, status }) => {
    console.log(code === 'exited' ? `it exited with ${status}` : `it was ${code} by ${signalName(status)}`);
    loop.exit(code === 'exited' ? status : 128 + status);
  }),
);
process.exitCode = await loop.run(end);
