import { liveUserNamespaces, mounts, namespaceMounts, ownDevices, parseMountinfo } from '@sdrx/daemon';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { needsRoot } from '../support/privileges.js';
import { workedOff } from '../support/worked-off.js';
import { Inhabitant } from './user-namespace.js';

t.test('reads a line with tags, without tags, and with quoted characters', async (t) => {
  t.same(
    parseMountinfo(
      '41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n' +
        '90 22 0:4 net:[4026532001] /run/a\\040b\\134c rw shared:12 master:3 - nsfs nsfs rw\n',
    ),
    [
      { root: '/', path: '/sys/fs/cgroup/unified', type: 'cgroup2' },
      { root: 'net:[4026532001]', path: '/run/a b\\c', type: 'nsfs' },
    ],
  );
});

t.test('skips lines that say too little', async (t) => {
  t.same(parseMountinfo('\nnonsense\n1 2 3 - x\n1 2 0:3 / /proc rw proc proc rw\n'), []);
});

t.test('knows where /proc is', async (t) => {
  t.ok(mounts().some(({ path, type }) => path === '/proc' && type === 'proc'));
});

t.test(
  'namespaces that are mounted on file systems of a user are not to be reached by their path',
  needsRoot,
  async (t) => {
    // An overlay may have a file system beneath it whose names only a process of its user knows.
    const script = [
      'mount -t tmpfs tmpfs /mnt && cd /mnt && mkdir lower upper work overlay',
      'mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work,userxattr overlay',
      'touch "a place" overlay/file && mount --bind /proc/self/ns/net "a place" && mount --bind /proc/self/ns/uts overlay/file',
    ].join(' && ');
    const inhabitant = await Inhabitant.start(t, ['--user', '--map-root-user', '--mount', '--net', '--uts'], script);
    await t.test(
      'but are found',
      leavingNothing((t) => {
        const found = workedOff(namespaceMounts(inhabitant.pid, ownDevices())) ?? [];
        t.match(
          found.filter(({ path }) => path.startsWith('/mnt/')),
          [
            { root: /^net:/, path: '/mnt/a place', isSafe: true },
            { root: /^uts:/, path: '/mnt/overlay/file', isSafe: false },
          ],
        );
        t.ok(workedOff(liveUserNamespaces()).has(inhabitant.inode));
        t.equal(workedOff(namespaceMounts(0x7fff_fff0, new Set())), undefined, 'of nobody');
      }),
    );
    await inhabitant.end();
  },
);
