// Waits for a child to end with nothing but a NodePoll to keep it alive; prints what happened.
import { NodePoll, spawn } from '@sdrx/linux';
import { waitForExit } from '../../support/wait-for-exit.js';

const child = spawn('sleep', { args: ['0.2'] });
const poll = new NodePoll(child.pidfd.number, () => {
  setImmediate(() => {
    poll[Symbol.dispose]();
    waitForExit(child);
    process.stdout.write('readable, ');
  });
});
process.on('exit', () => process.stdout.write('then the end'));
