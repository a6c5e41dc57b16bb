import { readFileSync } from 'node:fs';
import { SOCK_DGRAM, sendMessage, unixSocket } from '@sdrx/linux';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { RunningExample } from './running-example.js';

t.test('what comes at once is saved once', async (t) => {
  using folder = new Folder();
  const [address, path] = [folder.join('socket'), folder.join('words.json')];
  const example = new RunningExample(t, 'post', { args: [address, path] });
  await example.prints(`process ${example.pid} is ready`);
  const counts = () => JSON.parse(readFileSync(path, 'utf8'));
  using client = unixSocket(SOCK_DGRAM);
  const send = (word: string) => sendMessage(client.number, Buffer.from(word), { to: address });
  send('one');
  await example.prints('saved 1 changes');
  t.strictSame(counts(), { one: 1 });

  // No more than ten, the usual limit of a socket's queue.
  await example.pause();
  for (const word of ['one', 'two', 'two', 'three', 'three', 'three']) send(word);
  example.kill('SIGCONT');
  await example.prints('saved 6 changes');
  t.strictSame(counts(), { one: 2, two: 2, three: 3 });

  example.kill('SIGTERM');
  t.equal(await example.ended(), 0);
});
