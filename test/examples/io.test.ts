import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { RunningExample } from './running-example.js';

async function answer(client: Socket, text: string): Promise<string> {
  client.write(text);
  const [echo] = await once(client, 'data');
  return String(echo);
}

t.test('clients are served side by side, and one that hangs up disturbs no other', async (t) => {
  using folder = new Folder();
  const path = folder.join('socket');
  const example = new RunningExample(t, 'io', { args: [path] });
  await example.prints('ready');
  const first = connect(path);
  const second = connect(path);
  t.equal(await answer(first, 'one'), 'one');
  t.equal(await answer(second, 'two'), 'two');
  t.equal(await answer(first, 'three'), 'three');
  first.destroy();
  t.equal(await answer(second, 'four'), 'four');
  second.destroy();

  example.kill('SIGTERM');
  t.equal(await example.ended(), 0);
});
