import { EventLoop, handOver, RestartError } from '@sdrx/event';
import { fillFds } from '../../support/fill-fds.js';
import { openFds } from '../../support/nothing-left.js';
import { programPath } from '../../support/program-path.js';

// Hands over to a program that ends at once, with room for as many descriptors as the argument says, and prints what came of it.
const room = Number(process.argv[2] ?? 1000);
process.stdout.write('');
const loop = new EventLoop();
const finished = loop.run();
const before = openFds();
const filling = room < 1000 ? fillFds(room) : [];
const program = { file: process.execPath, args: [programPath('./odd-successor.js', import.meta.url), 'exits'] };
const error = await handOver(loop, { program }).catch((error: unknown) => error);
for (const fd of filling) fd.close();
const left = openFds().length - before.length;
const { reason, message } = error as RestartError;
console.log(JSON.stringify({ isRestartError: error instanceof RestartError, reason, message, left }));
loop.exit();
await finished;
