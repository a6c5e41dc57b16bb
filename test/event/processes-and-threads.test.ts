import { MessageChannel, Worker } from 'node:worker_threads';
import { EventLoop } from '@sdrx/event';
import t from 'tap';
import { children } from '../support/children.js';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';

t.test('in a process that was forked a loop refuses everything, ECHILD; the one in its parent goes on', (t) => {
  const program = programPath('./programs/fork.js', import.meta.url);
  const { output, exit } = runNode(['--single-threaded', program]);
  t.match(exit, { code: 'exited', status: 0 });
  const { refused, forked, here } = JSON.parse(output);
  const asked = ['run', 'exit', 'io', 'time', 'inotify', 'child', 'signal', 'defer', 'ofTheOther'];
  t.strictSame(refused, Object.fromEntries(asked.map((what) => [what, 'ECHILD'])));
  t.equal(forked, true);
  t.strictSame(here, { forked: false, came: ['child', 'inotify', 'io', 'signal', 'time'], code: 3 });
  t.end();
});

t.test('a loop can be neither copied nor sent to another thread', (t) => {
  using loop = new EventLoop();
  const { port1, port2 } = new MessageChannel();
  const ways: Readonly<Record<string, () => unknown>> = {
    structuredClone: () => structuredClone(loop),
    postMessage: () => port1.postMessage(loop),
    'postMessage of an object that has it': () => port1.postMessage({ loop }),
    workerData: () => new Worker('', { eval: true, workerData: loop }),
  };
  for (const [way, send] of Object.entries(ways)) t.throws(send, { name: 'DataCloneError' }, way);
  port1.close();
  port2.close();
  t.end();
});

t.test('each of several worker threads may have a loop of its own; signals go to the main thread only', async (t) => {
  const program = programPath('./programs/loop-in-thread.js', import.meta.url);
  const results = await Promise.all(
    Array.from({ length: 4 }, async (_, index) => {
      const worker = new Worker(program, { workerData: index, env: { ...process.env, NODE_OPTIONS: undefined } });
      const ended = new Promise((resolve) => worker.once('exit', resolve));
      const result = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
      return { result, exit: await ended };
    }),
  );
  const refusal = /^SystemError: EOPNOTSUPP: only the main thread can listen to signals/;
  for (const [index, { result, exit }] of results.entries()) {
    t.match(result, {
      came: ['child', 'defer', 'exiting', 'inotify', 'io', 'post', 'time'],
      refused: [refusal, refusal],
      status: index,
      code: 10 + index,
    });
    t.equal(exit, 0, 'the thread ends when its loop does');
  }
  t.strictSame(children(), []);
});
