import { openSync, readdirSync } from 'node:fs';
import { closeInThreads, duplicate, Fd, isOpen, pipe } from '@sdrx/linux';
import t from 'tap';
import { FuseMount, noFuse } from '../support/fuse-mount.js';
import { LingeringSocket } from '../support/lingering-socket.js';
import { leavingNothing } from '../support/nothing-left.js';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';
import { until } from '../support/until.js';

const threads = () => readdirSync('/proc/self/task').length;

t.test(
  'a thread closes a descriptor, and goes',
  leavingNothing(async (t) => {
    const before = threads();
    const fds = Array.from({ length: 100 }, () => new Fd(openSync('/proc/self/exe', 'r')).take());
    const closing = closeInThreads(fds);
    t.notOk(fds.some(isOpen), 'their numbers are free at once');
    t.equal(closing.length, 100);
    await until(() => closing.every(({ ended }) => ended));
    await until(() => threads() === before);
    t.ok(
      closing.every(({ ended }) => ended),
      'it may be asked again',
    );
  }),
);

t.test(
  'a socket that lingers keeps its thread, and nobody else',
  leavingNothing(async (t) => {
    const lingering = Array.from({ length: 10 }, () => new LingeringSocket());
    const closing = closeInThreads(lingering.map(({ fd }) => fd.take()));
    using _file = new Fd(openSync('/proc/self/exe', 'r'));
    const [reader, writer] = pipe();
    const [quick] = closeInThreads([reader.take()]);
    writer.close();
    await until(() => quick?.ended === true);
    t.notOk(closing.some(({ ended }) => ended));
    for (const each of lingering) each.release();
    await until(() => closing.every(({ ended }) => ended));
  }),
);

t.test('a file of FUSE that hangs keeps its thread, and nobody else', { skip: noFuse }, async (t) => {
  const mount = await FuseMount.mount();
  const fd = openSync(mount.file, 'r');
  const [closing] = closeInThreads([fd]);
  const [quick] = closeInThreads([duplicate(0).take()]);
  await until(() => quick?.ended === true);
  t.notOk(closing?.ended);
  await mount.release();
  await until(() => closing?.ended === true);
});

t.test('the end of the process does not wait for it', (t) => {
  const program = programPath('./programs/end-while-closing.js', import.meta.url);
  t.match(runNode([program, 'exit']), { exit: { code: 'exited', status: 3 } });
  t.match(runNode([program, 'end']), { exit: { code: 'exited', status: 0 } });
  t.end();
});
