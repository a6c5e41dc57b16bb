import { SOCK_DGRAM, sendMessage, unixSocket } from '@sdrx/linux';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { RunningExample } from './running-example.js';

t.test('what comes beyond the limit waits until its time is over, or it is lifted', async (t) => {
  using folder = new Folder();
  const address = folder.join('socket');
  const example = new RunningExample(t, 'rate-limit', { args: [address] });
  await example.prints(`process ${example.pid} is ready`);
  using client = unixSocket(SOCK_DGRAM);
  await example.pause();
  for (let number = 1; number <= 8; number++) sendMessage(client.number, Buffer.from(`${number}`), { to: address });
  example.kill('SIGCONT');
  await example.prints('request: 6');
  const [, ...lines] = example.lines;
  const three = (from: number) => [0, 1, 2].map((offset) => `request: ${from + offset}`);
  t.strictSame(lines, [...three(1), 'five seconds are over', ...three(4)]);

  example.kill('SIGUSR2');
  await example.prints('request: 8');
  t.equal(example.lines.at(-2), 'request: 7', 'without the end of the five seconds');
  example.kill('SIGTERM');
  t.equal(await example.ended(), 0);
});
