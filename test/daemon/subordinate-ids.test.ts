import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { SubordinateIds } from '@sdrx/daemon';
import t from 'tap';
import { Folder } from '../support/folder.js';

const PASSWD = `root:x:0:0::/root:/bin/sh
alice:x:1000:1000::/home/alice:/bin/sh
bob:x:1001:1001::/home/bob:/bin/sh
alice:x:1002:1002::/home/alice:/bin/sh
broken:x:one:1:::
+::::::
`;

/** The files of a system, which are looked at each time. */
class Files implements Disposable {
  readonly #folder = new Folder();
  readonly subuid = this.#folder.join('subuid');
  readonly passwd = this.#folder.join('passwd');
  readonly ids = new SubordinateIds({ subuid: this.subuid, passwd: this.passwd, interval: 0 });

  constructor(subuid: string, passwd = PASSWD) {
    this.write(this.subuid, subuid);
    this.write(this.passwd, passwd);
  }

  /** As usermod(8) does: another file takes its place. */
  write(path: string, text: string): void {
    writeFileSync(`${path}+`, text);
    renameSync(`${path}+`, path);
  }

  owners(...uids: readonly number[]): (number | undefined)[] {
    return uids.map((uid) => this.ids.find(uid)?.owner);
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

t.test('an id within a line is that user’s, by name or by uid', async (t) => {
  using files = new Files('alice:100000:65536\n1001:165536:65536\nbob:0x80000:0x10\nalice:300000:1\n');
  t.strictSame(files.owners(99_999, 100_000, 165_535), [undefined, 1000, 1000]);
  t.strictSame(files.owners(165_536, 231_071, 231_072), [1001, 1001, undefined]);
  t.strictSame(files.owners(0x8_0000, 0x8_000f, 0x8_0010), [1001, 1001, undefined]);
  t.strictSame(files.owners(300_000, 300_001), [1000, undefined]);
  t.match(files.ids.find(165_535), { owner: 1000, first: 100_000 });
});

t.test('whose owner is not in passwd(5) is known by the range', async (t) => {
  using files = new Files('ldap:100000:65536\n');
  t.match(files.ids.find(100_005), { owner: undefined, first: 100_000 });
});

t.test('who is in passwd(5) is nobody else', async (t) => {
  using files = new Files('alice:1000:1\nroot:1001:1\nalice:500:1000\n');
  t.strictSame(
    [1000, 1001].map((uid) => files.ids.find(uid)),
    [undefined, undefined],
  );
  t.strictSame(files.owners(999, 1003), [1000, 1000]);
});

t.test('what is no line is left out', async (t) => {
  const wrong = [
    '',
    '# alice:100000:65536',
    'alice',
    'alice:100000',
    'alice:100000:',
    'alice::65536',
    ':100000:65536',
    'alice:100000:65536:',
    'alice:100000:0',
    'alice:-100000:65536',
    'alice:1e5:65536',
    'alice: 100000:65536',
    'alice:100000:4294967295',
    'alice:99999999999:1',
    'alice:100000:65536.5',
  ];
  for (const line of wrong) {
    using files = new Files(`${line}\nbob:200000:10\n`);
    t.strictSame(files.owners(0, 100_000, 100_001, 165_535, 200_000), [...Array(4).fill(undefined), 1001], line);
  }
  using files = new Files('alice:100000:65536');
  t.strictSame(files.owners(100_000), [1000], 'the last one may be without its end');
});

t.test('however ranges lie, the first line that has an id tells', async (t) => {
  const random = (end: number) => Math.floor(Math.random() * end);
  for (let round = 0; round < 200; round++) {
    const lines = Array.from(
      { length: 1 + random(12) },
      () => [10_000 + random(3), random(60), 1 + random(20)] as const,
    );
    const text = `${lines.map((line) => line.join(':')).join('\n')}\n`;
    using files = new Files(text);
    for (let uid = 0; uid < 90; uid++) {
      // The uids of PASSWD are none of these, but for root's.
      const line = uid === 0 ? undefined : lines.find(([, start, count]) => uid >= start && uid < start + count);
      const found = files.ids.find(uid);
      if (found?.owner !== line?.[0] || found?.first !== line?.[1])
        return t.fail(`${uid} is found to be of ${found?.owner}, from ${found?.first}, by\n${text}`);
    }
  }
  t.pass('all found');
});

t.test('a file that has become another one is read', async (t) => {
  using files = new Files('alice:100000:10\n');
  t.strictSame(files.owners(100_000, 100_010), [1000, undefined]);
  files.write(files.subuid, 'bobby:100000:20\n');
  t.strictSame(files.owners(100_000, 100_010), [undefined, undefined]);
  files.write(files.passwd, 'bobby:x:1003:1003:::\n');
  t.strictSame(files.owners(100_000, 100_010), [1003, 1003]);
  rmSync(files.subuid);
  t.equal(files.ids.find(100_000), undefined);
});

t.test('between two looks it is not', async (t) => {
  using files = new Files('alice:100000:10\n');
  const ids = new SubordinateIds({ subuid: files.subuid, passwd: files.passwd, interval: Number.MAX_VALUE });
  t.equal(ids.find(100_000)?.owner, 1000);
  files.write(files.subuid, '');
  t.equal(ids.find(100_000)?.owner, 1000);
});

t.test('what is no file says nothing, and is not waited for; what can’t be read says what it said', async (t) => {
  using files = new Files('alice:100000:10\n');
  t.strictSame(files.owners(100_000), [1000]);
  rmSync(files.subuid);
  symlinkSync(files.subuid, files.subuid);
  t.strictSame(files.owners(100_000), [1000]);
  rmSync(files.subuid);
  execFileSync('mkfifo', [files.subuid]);
  t.strictSame(files.owners(100_000), [undefined]);
  rmSync(files.subuid);
  mkdirSync(files.subuid);
  t.strictSame(files.owners(100_000), [undefined]);
});
