import { openSync, readlinkSync, statSync } from 'node:fs';
import {
  CLONE_NEWNET,
  CLONE_NEWUSER,
  Fd,
  fileSystemType,
  namespaceId,
  namespaceInode,
  namespaceOwner,
  namespaceType,
  O_PATH,
  openUserNamespace,
  owningUserNamespace,
  parentNamespace,
  socketPair,
} from '@sdrx/linux';
import t from 'tap';
import { errorCode } from '../support/error-code.js';
import { leavingNothing } from '../support/nothing-left.js';
import { needsRoot } from '../support/privileges.js';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';
import { until } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';

const NSFS_MAGIC = 0x6e736673;
const PROC_SUPER_MAGIC = 0x9fa0;
const CLONE_NEWPID = 0x2000_0000;

const open = (path: string, flags: number | string = 'r') => new Fd(openSync(path, flags));

/** What is open here and is no namespace. */
function noNamespaces(): Fd[] {
  const [first, second] = socketPair();
  second.close();
  return [open('/proc/self/exe'), open('/proc'), open('/dev/null'), first];
}

/** Whether this kernel gives namespaces ids and opens them by these. */
function numbered(): Record<string, string> {
  using ours = open('/proc/self/ns/user');
  return namespaceId(ours.number) === undefined ? { skip: 'this kernel does not number its namespaces' } : {};
}

const needsNumbers = { ...numbered(), ...needsRoot };

t.test(
  'the type of a namespace is its own, and what is none has none',
  leavingNothing((t) => {
    const kinds = { user: CLONE_NEWUSER, net: CLONE_NEWNET, pid: CLONE_NEWPID };
    for (const [kind, type] of Object.entries(kinds)) {
      using namespace = open(`/proc/self/ns/${kind}`);
      t.equal(namespaceType(namespace.number), type, kind);
    }
    for (const other of noNamespaces()) {
      t.equal(namespaceType(other.number), undefined);
      other.close();
    }
  }),
);

t.test(
  'a closed descriptor has no type, and no O_PATH one of a namespace: both throw EBADF',
  leavingNothing((t) => {
    using path = open('/proc/self/ns/user', O_PATH);
    t.throws(() => namespaceType(path.number), { code: 'EBADF', syscall: 'ioctl(NS_GET_NSTYPE)' });
    t.throws(() => namespaceType(9999), { code: 'EBADF', syscall: 'statx' });
    t.throws(() => namespaceInode(9999), { code: 'EBADF' });
  }),
);

t.test(
  'the type of a file system is its magic number',
  leavingNothing((t) => {
    using namespace = open('/proc/self/ns/user');
    using proc = open('/proc');
    t.equal(fileSystemType(namespace.number), NSFS_MAGIC);
    t.equal(fileSystemType(proc.number), PROC_SUPER_MAGIC);
    t.throws(() => fileSystemType(9999), { code: 'EBADF', syscall: 'fstatfs', subject: '9999' });
  }),
);

t.test(
  'the owner of a user namespace is who made it',
  leavingNothing((t) => {
    using namespace = new UserNamespace();
    using fd = namespace.open();
    t.equal(namespaceOwner(fd.number), process.getuid?.());
  }),
);

t.test('the owner may be another user', needsRoot, (t) => {
  using namespace = new UserNamespace(54321);
  using fd = namespace.open();
  t.equal(namespaceOwner(fd.number), 54321);
  t.end();
});

t.test(
  'the owner of another kind of namespace throws EINVAL, of what is none ENOTTY',
  leavingNothing((t) => {
    using net = open('/proc/self/ns/net');
    t.throws(() => namespaceOwner(net.number), { code: 'EINVAL', syscall: 'ioctl(NS_GET_OWNER_UID)' });
    for (const other of noNamespaces()) {
      t.equal(
        errorCode(() => namespaceOwner(other.number)),
        'ENOTTY',
      );
      t.equal(
        errorCode(() => owningUserNamespace(other.number)),
        'ENOTTY',
      );
      t.equal(
        errorCode(() => parentNamespace(other.number)),
        'ENOTTY',
      );
      other.close();
    }
    t.throws(() => namespaceOwner(9999), { code: 'EBADF' });
  }),
);

t.test(
  'a network namespace belongs to the user namespace it was made in',
  leavingNothing((t) => {
    using namespace = new UserNamespace(undefined, '--net');
    using user = namespace.open();
    using net = namespace.open('net');
    using owner = owningUserNamespace(net.number);
    t.equal(namespaceInode(owner.number), namespaceInode(user.number));
    t.equal(namespaceType(net.number), CLONE_NEWNET);
  }),
);

t.test(
  'the parent of a user namespace is the one it was made in',
  leavingNothing((t) => {
    using namespace = new UserNamespace();
    using user = namespace.open();
    using parent = parentNamespace(user.number);
    t.equal(namespaceInode(parent.number), statSync('/proc/self/ns/user').ino);
    t.throws(() => parentNamespace(parent.number), { code: 'EPERM', syscall: 'ioctl(NS_GET_PARENT)' });
    using net = open('/proc/self/ns/net');
    t.throws(() => parentNamespace(net.number), { code: 'EINVAL' });
  }),
);

t.test(
  'the inode is the number that the kernel shows',
  leavingNothing((t) => {
    using namespace = open('/proc/self/ns/user');
    t.equal(`user:[${namespaceInode(namespace.number)}]`, readlinkSync('/proc/self/ns/user'));
  }),
);

t.test('every namespace has another id, the same through every descriptor', needsNumbers, (t) => {
  using first = new UserNamespace();
  using second = new UserNamespace();
  using one = first.open();
  using again = first.open();
  using two = second.open();
  t.type(namespaceId(one.number), 'bigint');
  t.equal(namespaceId(one.number), namespaceId(again.number));
  t.not(namespaceId(one.number), namespaceId(two.number));
  t.end();
});

t.test(
  'what is no namespace has no id',
  leavingNothing((t) => {
    for (const other of noNamespaces()) {
      t.equal(namespaceId(other.number), undefined);
      other.close();
    }
    t.throws(() => namespaceId(9999), { code: 'EBADF', syscall: 'ioctl(NS_GET_ID)' });
  }),
);

t.test(
  'a living user namespace is opened by its id and inode',
  needsNumbers,
  leavingNothing((t) => {
    using namespace = new UserNamespace();
    const { id, inode } = numbersOf(namespace);
    using found = openUserNamespace(id, inode);
    t.equal(namespaceInode(found.number), inode);
    t.equal(namespaceType(found.number), CLONE_NEWUSER);
  }),
);

t.test(
  'a user namespace that died is not opened: ESTALE, and its numbers did not hold it alive',
  needsNumbers,
  leavingNothing(async (t) => {
    const namespace = new UserNamespace();
    const { id, inode } = numbersOf(namespace);
    openUserNamespace(id, inode).close();
    namespace[Symbol.dispose]();
    await until(() => errorCode(() => openUserNamespace(id, inode).close()) === 'ESTALE');
    t.throws(() => openUserNamespace(id, inode), { code: 'ESTALE', syscall: 'open_by_handle_at' });
  }),
);

t.test(
  'the descriptor of an opened one does hold it alive',
  needsNumbers,
  leavingNothing(async (t) => {
    const namespace = new UserNamespace();
    const { id, inode } = numbersOf(namespace);
    const held = openUserNamespace(id, inode);
    namespace[Symbol.dispose]();
    openUserNamespace(id, inode).close();
    held.close();
    await until(() => errorCode(() => openUserNamespace(id, inode).close()) === 'ESTALE');
    t.pass();
  }),
);

t.test('an id or inode that was never given throws ESTALE', needsNumbers, (t) => {
  using namespace = new UserNamespace();
  const { id, inode } = numbersOf(namespace);
  t.throws(() => openUserNamespace(2n ** 60n, inode), { code: 'ESTALE' });
  t.throws(() => openUserNamespace(id, inode + 1), { code: 'ESTALE' });
  t.end();
});

t.test('without capabilities one that lives is not taken for dead: EPERM', needsNumbers, (t) => {
  using namespace = new UserNamespace();
  const { id, inode } = numbersOf(namespace);
  const program = programPath('./programs/open-namespace.js', import.meta.url);
  t.equal(runNode([program, String(id), String(inode)]).output, 'EPERM');
  t.end();
});

function numbersOf(namespace: UserNamespace): { id: bigint; inode: number } {
  using fd = namespace.open();
  const id = namespaceId(fd.number);
  if (id === undefined) throw new Error('a namespace without an id');
  return { id, inode: namespaceInode(fd.number) };
}
