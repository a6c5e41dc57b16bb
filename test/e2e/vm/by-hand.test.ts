import { openSync } from 'node:fs';
import { BpfMap } from '@sdrx/bpf';
import { Fd, namespaceInode } from '@sdrx/linux';
import t from 'tap';
import { number } from '../../bpf/number.js';
import { allocate, USERNS } from '../../support/allocation.js';
import { startDaemon } from '../../support/daemon.js';
import { UserNamespace } from '../../support/user-namespace.js';
import { varlinkCall } from '../../support/varlink-call.js';
import { needsVirtualMachine } from './machine.js';
import { NAMESPACES } from './namespaces.js';
import { API, install } from './service.js';

t.test(
  'a daemon without a service manager forgets the mounts of one that was killed',
  needsVirtualMachine,
  async (t) => {
    install('sdrx');
    const first = await startDaemon(t, { restriction: 'require' });
    using namespace = new UserNamespace();
    using fd = namespace.open();
    t.strictSame(await allocate(first, fd, 'by-hand'), { parameters: {} });
    using mount = new Fd(openSync('/run/lock', 'r'));
    const parameters = { [USERNS]: 0, mountFileDescriptor: 1 };
    const options = { fds: [fd.number, mount.number] };
    t.strictSame(await varlinkCall(first.socketPath, `${API}.AddMountToUserNamespace`, parameters, options), {
      parameters: {},
    });
    const allowed = () => {
      using namespaces = BpfMap.openPinned(NAMESPACES);
      using list = BpfMap.byId(namespaces.get(number(namespaceInode(fd.number)))?.readUInt32LE() ?? 0);
      return [...list.keys()].length;
    };
    first.kill('SIGKILL');
    await first.gone;
    t.equal(allowed(), 1);
    const second = await startDaemon(t, { restriction: 'require', runtimeDirectory: first.runtimeDirectory });
    t.equal(allowed(), 0);
    await second.stop();
  },
);
