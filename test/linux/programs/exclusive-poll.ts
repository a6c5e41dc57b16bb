// Watches descriptor 3 exclusively, until it is told of once. Does what each line of its input says, and answers with a line.
import { createInterface } from 'node:readline';
import { NodePoll } from '@sdrx/linux';

let calls = 0;
const poll = new NodePoll(
  3,
  () => {
    calls++;
    poll.pause();
  },
  { exclusive: true },
);
const say = (text: string) => process.stdout.write(`${text}\n`);
createInterface(process.stdin).on('line', (line) => {
  if (line === 'yield') poll.yield();
  else if (line === 'resume') poll.resume();
  else if (line === 'end') {
    poll[Symbol.dispose]();
    process.stdin.destroy();
  }
  // After a look of Node's loop at what is ready.
  setImmediate(() => setImmediate(() => say(`${calls}`)));
});
say('watches');
