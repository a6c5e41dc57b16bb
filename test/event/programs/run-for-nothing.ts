// Runs a loop without a source: nothing but the loop keeps this program from ending before the timer, which does not.
import { EventLoop } from '@sdrx/event';

const loop = new EventLoop();
setTimeout(() => loop.exit(9), 300).unref();
process.stdout.write(`finished with ${await loop.run()}`);
