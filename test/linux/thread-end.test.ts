import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { close, eventfd, isOpen } from '@sdrx/linux';
import t from 'tap';
import { openFds } from '../support/nothing-left.js';
import { programPath } from '../support/program-path.js';

function start(program: string): {
  readonly worker: Worker;
  readonly message: Promise<unknown[]>;
  readonly ended: Promise<unknown[]>;
} {
  const worker = new Worker(programPath(`./programs/${program}.js`, import.meta.url));
  return { worker, message: once(worker, 'message'), ended: once(worker, 'exit') };
}

/** What `programs/thread-descriptors.ts` tells. */
interface Descriptors {
  readonly held: readonly number[];
  readonly given: readonly number[];
  readonly closed: readonly number[];
  readonly same: boolean;
}

for (const how of ['terminated', 'by itself']) {
  t.test(
    `a thread's descriptors are closed at its end, those that it closed or gave away are not: ${how}`,
    async (t) => {
      const first = start('thread-descriptors');
      const [{ given: others }] = (await first.message) as [Descriptors];
      first.worker.postMessage('end');
      await first.ended;
      for (const fd of others) close(fd);
      const before = openFds();

      const { worker, message, ended } = start('thread-descriptors');
      const [{ held, given, closed, same }] = (await message) as [Descriptors];
      t.ok(same, 'the same number comes twice');
      t.ok(held.length > 15 && held.every(isOpen) && given.every(isOpen));
      // In the lowest numbers that are free, hence those that the thread closed.
      const ours = Array.from({ length: 20 }, () => eventfd());
      t.ok(ours.some(({ number }) => closed.includes(number)));
      if (how === 'terminated') await worker.terminate();
      else worker.postMessage('end');
      await ended;
      t.ok(given.every(isOpen));
      t.ok(ours.every(({ number }) => isOpen(number)));
      for (const fd of [...given, ...ours.map((fd) => fd.take())]) close(fd);
      t.strictSame(openFds(), before);
    },
  );
}

t.test('in a thread a NodePoll does what it does in the main thread', async (t) => {
  const { message, ended } = start('thread-polls');
  const [answers] = await message;
  t.strictSame(answers, {
    callsBefore: 0,
    otherCalls: 0,
    callsAfterTaking: 0,
    callsWhilePaused: 0,
    callsAfterItsEnd: 0,
    errors: ['EPERM', 'EBADF', 'EBADF', 'EEXIST'],
  });
  t.strictSame(await ended, [0]);
});
