import { readFileSync } from 'node:fs';
import { groupExists, userExists } from '@sdrx/linux';
import fc from 'fast-check';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';

const names = (file: string) =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split(':'));

t.test('every user of /etc/passwd exists, by name and by id', async (t) => {
  for (const [name = '', , uid] of names('/etc/passwd')) {
    t.ok(await userExists(name), name);
    t.ok(await userExists(Number(uid)), `uid ${uid}`);
  }
  t.end();
});

t.test('every group of /etc/group exists, by name and by id', async (t) => {
  for (const [name = '', , gid] of names('/etc/group')) {
    t.ok(await groupExists(name), name);
    t.ok(await groupExists(Number(gid)), `gid ${gid}`);
  }
  t.end();
});

t.test(
  'what nobody knows does not exist, whatever characters it has',
  leavingNothing(async (t) => {
    await userExists('root'); // may open what it keeps
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
      t.notOk(await userExists(name), name.slice(0, 20));
      t.notOk(await groupExists(name), name.slice(0, 20));
    }
    for (const id of [0x7654_3210, 0xffff_fff0]) {
      t.notOk(await userExists(id));
      t.notOk(await groupExists(id));
    }
  }),
);

t.test('a random name does not exist', async () => {
  const name = fc.string({ unit: 'grapheme', minLength: 33 }).filter((text) => !text.includes('\0'));
  await fc.assert(fc.asyncProperty(name, async (text) => !(await userExists(text)) && !(await groupExists(text))));
});

t.test('a name with a NUL in it is none, and not the one before the NUL', async (t) => {
  await t.rejects(userExists('root\0'), { code: 'EINVAL', syscall: 'getpwnam_r', subject: 'root\\0' });
  await t.rejects(groupExists('root\0x'), { code: 'EINVAL', syscall: 'getgrnam_r' });
});

t.test('several can be asked for at once, and each gets its answer', async (t) => {
  const found = await Promise.all(
    Array.from({ length: 200 }, (_, index) => userExists(index % 2 ? 'root' : 'no-such-user')),
  );
  t.strictSame(new Set(found.filter((_, index) => index % 2)), new Set([true]));
  t.strictSame(new Set(found.filter((_, index) => index % 2 === 0)), new Set([false]));
});
