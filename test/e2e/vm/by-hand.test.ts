import { BpfMap } from '@sdrx/bpf';
import { namespaceInode } from '@sdrx/linux';
import t from 'tap';
import { Attempts } from '../../bpf/attempts.js';
import { number } from '../../bpf/number.js';
import { allocate, given } from '../../support/allocation.js';
import { startDaemon } from '../../support/daemon.js';
import { UserNamespace } from '../../support/user-namespace.js';
import { needsVirtualMachine } from './machine.js';
import { NAMESPACES, restricted } from './namespaces.js';
import { install } from './service.js';

t.test(
  'a daemon that follows one that was killed restricts what is registered, and nothing else, all the time',
  needsVirtualMachine,
  async (t) => {
    install('sdrx');
    const first = await startDaemon(t, { restriction: 'require' });
    using namespace = new UserNamespace();
    using fd = namespace.open();
    t.strictSame(await allocate(first, fd, 'by-hand'), given('by-hand'));
    const inode = namespaceInode(fd.number);
    t.strictSame([...restricted()], [inode]);
    using attempts = new Attempts(namespace);
    await attempts.more();
    first.kill('SIGKILL');
    await first.gone;
    await attempts.more();
    {
      // One that nobody knows any more, as a daemon leaves it that is killed in the wrong moment.
      using namespaces = BpfMap.openPinned(NAMESPACES);
      namespaces.set(number(7), number(1));
    }
    const second = await startDaemon(t, { restriction: 'require', runtimeDirectory: first.runtimeDirectory });
    t.strictSame([...restricted()], [inode]);
    await attempts.more();
    t.notOk(attempts.end(), 'it never made a folder where it may not');
    await second.stop();
    t.strictSame([...restricted()], [inode], 'it is restricted still');
  },
);
