// Runs a loop that nothing but its timer ends, and prints what happened. Exits with the loop's code, by itself.
import { EventLoop } from '@sdrx/event';

const trace = ['started'];
const loop = new EventLoop();
loop.time({ after: 50 }).subscribe(() => {
  trace.push('came');
  loop.exit(3);
});
process.exitCode = await loop.run();
trace.push(`finished with ${process.exitCode}`);
process.stdout.write(trace.join(', '));
