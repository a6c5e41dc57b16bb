import { Worker } from 'node:worker_threads';
import { isForked } from '@sdrx/linux';
import t from 'tap';
import { runNode } from '../support/run-node.js';

const linux = import.meta.resolve('@sdrx/linux');

// That one which was forked says so is tested with the loops that refuse to run there: test/event/processes-and-threads.
t.test('neither this process, nor a thread of it, nor a program that it starts is a forked one', async (t) => {
  t.equal(isForked(), false);
  const code = `import('${linux}').then(({ isForked }) => require('node:worker_threads').parentPort.postMessage(isForked()))`;
  const worker = new Worker(code, { eval: true });
  t.equal(await new Promise((resolve) => worker.once('message', resolve)), false);
  await worker.terminate();
  t.equal(isForked(), false);
  const program = `import { isForked } from '${linux}'; process.stdout.write(String(isForked()))`;
  t.equal(runNode(['--input-type=module', '--eval', program]).output, 'false');
});
