import { readFileSync } from 'node:fs';
import { groupExists, userExists } from '@sdrx/linux';
import fc from 'fast-check';
import t from 'tap';
import { leavingNoFd } from '../support/open-fds.js';

const names = (file: string) =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split(':'));

t.test('every user of /etc/passwd exists, by name and by id', (t) => {
  for (const [name = '', , uid] of names('/etc/passwd')) {
    t.ok(userExists(name), name);
    t.ok(userExists(Number(uid)), `uid ${uid}`);
  }
  t.end();
});

t.test('every group of /etc/group exists, by name and by id', (t) => {
  for (const [name = '', , gid] of names('/etc/group')) {
    t.ok(groupExists(name), name);
    t.ok(groupExists(Number(gid)), `gid ${gid}`);
  }
  t.end();
});

t.test(
  'what nobody knows does not exist, whatever characters it has',
  leavingNoFd((t) => {
    userExists('root'); // may open what it keeps
    const odd = [
      '',
      ' ',
      'no-such-user',
      'root ',
      'ROOT',
      'root:x',
      'root\n',
      '../root',
      '-',
      '+',
      '漢字',
      '😀',
      '\ud800',
      '%s%n',
    ];
    for (const name of [...odd, 'x'.repeat(100_000), '0']) {
      t.notOk(userExists(name), name.slice(0, 20));
      t.notOk(groupExists(name), name.slice(0, 20));
    }
    for (const id of [0x7654_3210, 0xffff_fff0]) {
      t.notOk(userExists(id));
      t.notOk(groupExists(id));
    }
  }),
);

t.test('a random name does not exist', (t) => {
  const name = fc.string({ unit: 'grapheme', minLength: 33 }).filter((text) => !text.includes('\0'));
  fc.assert(fc.property(name, (text) => !userExists(text) && !groupExists(text)));
  t.end();
});

t.test('a name with a NUL in it is none, and not the one before the NUL', (t) => {
  t.throws(() => userExists('root\0'), { code: 'EINVAL', syscall: 'getpwnam_r', subject: 'root\\0' });
  t.throws(() => groupExists('root\0x'), { code: 'EINVAL', syscall: 'getgrnam_r' });
  t.end();
});
