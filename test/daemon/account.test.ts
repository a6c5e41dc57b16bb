import { mkdirSync, writeFileSync } from 'node:fs';
import {
  Accounts,
  LocalQuota,
  type NamespaceEntry,
  NOBODYS_ACCOUNT,
  QuotaByAccount,
  Registry,
  SubordinateIds,
} from '@sdrx/daemon';
import t from 'tap';
import { Folder } from '../support/folder.js';

const SIZE = 65_536;
const FIRST = 0x9_0000;

/** The first id of a range, by its number. */
const start = (number: number) => FIRST + number * SIZE;

/** A registry, and users with subordinate ids: 1000 is alice, 1001 bob. */
class Fixture implements Disposable {
  readonly #folder = new Folder();
  readonly registry = Registry.open(this.#folder.path);
  readonly dynamicUsers = this.#folder.join('dynamic-uid');
  readonly accounts: Accounts;
  #last = 0;

  constructor(subuidText = '') {
    const [subuid, passwd] = [this.#folder.join('subuid'), this.#folder.join('passwd')];
    writeFileSync(subuid, subuidText);
    writeFileSync(passwd, 'root:x:0:0:::\nalice:x:1000:1000:::\nbob:x:1001:1001:::\n');
    mkdirSync(this.dynamicUsers);
    const subordinateIds = new SubordinateIds({ subuid, passwd, interval: 0 });
    this.accounts = new Accounts(this.registry, { subordinateIds, dynamicUsers: this.dynamicUsers });
  }

  /** Registers a namespace of this owner with so many ids. */
  lend(owner: number, start: number | undefined, size = SIZE, more: Partial<NamespaceEntry> = {}): number {
    const userns = ++this.#last;
    const range = start === undefined ? {} : { range: { start, size, target: 0 } };
    this.registry.store({ owner, name: `n${userns}`, userns, ...range, cgroups: [], ...more });
    return userns;
  }

  of(...uids: readonly number[]): number[] {
    return uids.map((uid) => this.accounts.of(uid));
  }

  [Symbol.dispose](): void {
    this.registry[Symbol.dispose]();
    this.#folder[Symbol.dispose]();
  }
}

t.test('users answer for themselves', async (t) => {
  using fixture = new Fixture();
  const uids = [0, 1, 1000, 61_183, 65_534, 100_000, 0x7_ffff, 0x7000_0000, 0xffff_fffe];
  t.strictSame(fixture.of(...uids), uids);
});

t.test('lent ids answer to whom they are lent, as long as they are', async (t) => {
  using fixture = new Fixture();
  const [whole, single] = [fixture.lend(1000, start(0)), fixture.lend(1001, 61_200, 1)];
  t.strictSame(fixture.of(start(0), start(0) + 1, start(0) + SIZE - 1, 61_200), [1000, 1000, 1000, 1001]);
  t.strictSame(fixture.of(start(0) - 1, start(1), 61_199, 61_201), Array(4).fill(NOBODYS_ACCOUNT));
  fixture.registry.removeAll([whole, single]);
  t.strictSame(fixture.of(start(0), 61_200), [NOBODYS_ACCOUNT, NOBODYS_ACCOUNT]);
  for (let round = 0; round < 20; round++) {
    // Of the same inode, as the kernel gives it again.
    const owner = 1000 + round;
    const entry = {
      owner,
      name: 'again',
      userns: whole,
      range: { start: start(0), size: SIZE, target: 0 },
      cgroups: [],
    };
    fixture.registry.store(entry);
    t.strictSame(fixture.of(start(0), start(0)), [owner, owner]);
    fixture.registry.update({ ...entry, cgroups: [5n] });
    t.strictSame(fixture.of(start(0)), [owner]);
    fixture.registry.remove(whole);
  }
});

t.test('however often ids are lent on, the user is found', async (t) => {
  using fixture = new Fixture();
  fixture.lend(1000, start(0));
  // A chain of 33, the deepest that namespaces can be nested.
  for (let depth = 1; depth < 33; depth++) fixture.lend(start(depth - 1) + depth, start(depth));
  for (let depth = 0; depth < 33; depth++) t.equal(fixture.accounts.of(start(depth) + 7), 1000, `${depth + 1} deep`);
});

t.test('a circle leads to nobody', async (t) => {
  using fixture = new Fixture('3000:2000:10\n2000:3000:10\n4000:4000:10\n');
  fixture.lend(start(1) + 1, start(0));
  fixture.lend(start(0) + 1, start(1));
  fixture.lend(start(2) + 1, start(2));
  t.strictSame(fixture.of(start(0), start(1), start(2)), Array(3).fill(NOBODYS_ACCOUNT));
  t.strictSame(fixture.of(2001, 3001), [NOBODYS_ACCOUNT, NOBODYS_ACCOUNT]);
  t.strictSame(fixture.of(4000, 4001), [4000, 4000], 'whose own id is among the subordinate ones is no circle');
});

t.test('what can’t be read is nobody’s', async (t) => {
  using fixture = new Fixture();
  const userns = fixture.lend(1000, start(0));
  t.strictSame(fixture.of(start(0)), [1000]);
  writeFileSync(`${fixture.registry.directory}/i${userns}.userns`, '{}');
  t.strictSame(fixture.of(start(0)), [NOBODYS_ACCOUNT]);
});

t.test('what root lends is one user, and not root', async (t) => {
  using fixture = new Fixture('root:200000:1000000\nldap:2000000:65536\nroot:1000:1\n');
  fixture.lend(0, start(0), SIZE, { delegates: [{ start: start(5), startGid: start(5), size: SIZE }] });
  fixture.lend(0, start(1));
  fixture.lend(start(1) + 5, start(2));
  t.strictSame(fixture.of(start(0), start(0) + 9, start(5) + 9), [start(0), start(0), start(0)]);
  t.strictSame(fixture.of(start(1) + 9, start(2) + 9), [start(1), start(1)]);
  t.strictSame(fixture.of(200_000, 265_536, 499_999), [200_000, 200_000, 200_000]);
  t.strictSame(fixture.of(2_000_000, 2_065_535), [2_000_000, 2_000_000], 'so is what somebody unknown may use');
  t.equal(fixture.accounts.of(1000), 1000);
});

t.test('ids that may be given to others answer to who may', async (t) => {
  using fixture = new Fixture();
  const delegates = [{ start: start(3), startGid: start(3), size: SIZE }];
  fixture.lend(1000, start(0), SIZE, { delegates });
  t.equal(fixture.accounts.of(start(3) + 5), 1000);
  const inner = fixture.lend(start(0) + 5, undefined, 0, { delegates });
  t.equal(fixture.accounts.of(start(3) + 5), 1000, 'the last who may is of the same user');
  fixture.registry.remove(inner);
  fixture.lend(start(0) + 6, start(3));
  t.equal(fixture.accounts.of(start(3) + 5), 1000, 'they were given to one');
});

t.test('a range that begins where none of ours does', async (t) => {
  using fixture = new Fixture();
  fixture.lend(1000, start(0) + 4096);
  t.strictSame(fixture.of(start(0) + 4095, start(0) + 4096, start(1) + 4095), [NOBODYS_ACCOUNT, 1000, 1000]);
  t.equal(fixture.accounts.of(start(1) + 4096), NOBODYS_ACCOUNT);
});

t.test(
  'subordinate ids answer to who has them, also when they are lent on, and registered namespaces come first',
  async (t) => {
    using fixture = new Fixture(`alice:100000:65536\nbob:${start(0)}:131072\n`);
    fixture.lend(1000, start(0));
    fixture.lend(100_005, start(2));
    t.strictSame(fixture.of(100_000, 165_535, 165_536), [1000, 1000, 165_536]);
    t.strictSame(fixture.of(start(0), start(1), start(2)), [1000, 1001, 1000]);
  },
);

t.test('a dynamic user of a service is a user', async (t) => {
  using fixture = new Fixture();
  writeFileSync(`${fixture.dynamicUsers}/61300`, 'service\n');
  t.strictSame(fixture.of(61_300, 61_301), [61_300, NOBODYS_ACCOUNT]);
  fixture.lend(1000, 61_300, 1);
  t.strictSame(fixture.of(61_300), [1000]);
});

t.test('uids of the same user are found among many', async (t) => {
  using fixture = new Fixture('alice:100000:65536\n');
  fixture.lend(1000, start(0));
  fixture.lend(1001, start(1));
  fixture.lend(start(0) + 1, start(2), 16);
  const uids = [0, 1000, 1001, 100_000, 165_536, start(0) + 1, start(1), start(2) + 1, start(2) + 16, start(3)];
  for (const uid of uids) {
    const expected = uids.filter((other) => fixture.accounts.of(other) === fixture.accounts.of(uid));
    t.strictSame(fixture.accounts.sameAs(uid, uids), expected, String(uid));
  }
  t.strictSame(fixture.accounts.sameAs(1000, uids), [1000, 100_000, start(0) + 1, start(2) + 1]);
});

t.test('a quota is the user’s, not the uid’s', async (t) => {
  using fixture = new Fixture();
  fixture.lend(1000, start(0));
  const quota = new QuotaByAccount(new LocalQuota(2), fixture.accounts);
  const first = quota.take(start(0) + 1);
  t.ok(first);
  t.ok(quota.take(1000));
  t.equal(quota.take(start(0) + 2), undefined);
  t.ok(quota.take(1001));
  // Whose it was when it was taken gets it back.
  fixture.registry.remove(1);
  first?.[Symbol.dispose]();
  t.ok(quota.take(1000));
  t.equal(quota.take(1000), undefined);
});
