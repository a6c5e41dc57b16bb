import { mounts, parseMountinfo } from '@sdrx/daemon';
import t from 'tap';

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
