import { formatNamespaceEntry, type NamespaceEntry, parseNamespaceEntry } from '@sdrx/daemon';
import fc from 'fast-check';
import t from 'tap';

const UINT32_MAX = 0xffff_ffff;
const id = fc.integer({ min: 0, max: UINT32_MAX - 1 }).filter((value) => value !== 0xffff);

const ranges = fc
  .record({ start: id, target: id, size: fc.integer({ min: 1, max: 65_536 }) })
  .filter(({ start, target, size }) => start + size <= UINT32_MAX && target + size <= UINT32_MAX);

const entries: fc.Arbitrary<NamespaceEntry> = fc
  .record({
    owner: id,
    name: fc.stringMatching(/^[A-Za-z0-9_-]{0,22}$/),
    userns: fc.integer({ min: 1, max: UINT32_MAX }),
    range: fc.option(ranges),
    // Where they differ from the uids.
    gids: fc.option(fc.record({ startGid: id, targetGid: id })),
    usernsId: fc.option(fc.bigInt({ min: 1n, max: 2n ** 64n - 1n })),
    setgroupsDeny: fc.option(fc.boolean()),
    netifs: fc.option(fc.uniqueArray(fc.string(), { minLength: 1, maxLength: 17 })),
    delegates: fc.option(
      fc.array(fc.record({ start: id, startGid: id, size: fc.integer({ min: 1, max: 65_536 }) }), {
        minLength: 1,
        maxLength: 16,
      }),
    ),
    other: fc.option(fc.dictionary(fc.stringMatching(/^x[^"]*$/), fc.jsonValue(), { minKeys: 1 })),
    cgroups: fc.uniqueArray(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { maxLength: 16 }),
  })
  .map(({ range, gids, usernsId, setgroupsDeny, netifs, delegates, other, ...entry }) => {
    const groups =
      range !== null &&
      gids !== null &&
      Math.max(gids.startGid, gids.targetGid) + range.size <= UINT32_MAX &&
      gids.startGid !== range.start &&
      gids.targetGid !== range.target
        ? gids
        : {};
    return {
      ...entry,
      ...(range && { range: { ...range, ...groups } }),
      ...(usernsId && { usernsId }),
      ...(setgroupsDeny !== null && { setgroupsDeny }),
      ...(netifs && { netifs }),
      ...(delegates && { delegates }),
      ...(other && { other }),
    };
  });

t.test('what is written is read again, cgroup ids to the last bit', async (t) => {
  fc.assert(
    fc.property(entries, ({ other, ...known }) => {
      const text = formatNamespaceEntry(other === undefined ? known : { ...known, other });
      const read = parseNamespaceEntry(text);
      const { other: alsoRead, ...knownRead }: NamespaceEntry = read ?? known;
      t.same(knownRead, known);
      t.same(Object.keys(alsoRead ?? {}), Object.keys(other ?? {}));
      t.equal(read && formatNamespaceEntry(read), text);
    }),
    { numRuns: 300 },
  );
});

t.test('is written as systemd reads it: plain numbers, and only the fields that are there', async (t) => {
  const entry = { owner: 1000, name: '1000-web', userns: 4_026_532_001, cgroups: [] };
  t.equal(formatNamespaceEntry(entry), '{"owner":1000,"name":"1000-web","userns":4026532001}');
  t.same(
    JSON.parse(
      formatNamespaceEntry({ ...entry, range: { start: 524_288, size: 65_536, target: 0 }, cgroups: [7n, 25n] }),
    ),
    { ...entry, start: 524_288, size: 65_536, target: 0, cgroups: [7, 25] },
  );
  t.match(formatNamespaceEntry({ ...entry, cgroups: [18_446_744_073_709_551_615n] }), '[18446744073709551615]');
});

t.test('a file that contradicts itself is none', async (t) => {
  const good = { owner: 0, name: 'a', userns: 5, start: 524_288, size: 65_536, target: 0 };
  const read = (fields: object) => parseNamespaceEntry(JSON.stringify(fields));
  t.same(read(good), {
    owner: 0,
    name: 'a',
    userns: 5,
    range: { start: 524_288, size: 65_536, target: 0 },
    cgroups: [],
  });
  t.ok(read({ owner: 0, name: 'a', userns: 5, size: 0 }), 'no range');
  t.ok(read({ ...good, start: UINT32_MAX - 65_536 }), 'the last range');
  t.same(read({ ...good, start: 0, size: 1 })?.range, { start: 0, size: 1, target: 0 }, "root's own namespace");

  const bad: Record<string, object> = {
    'no inode': { ...good, userns: 0 },
    'an inode of more than 32 bits': { ...good, userns: 2 ** 32 },
    'an inode as a string': { ...good, userns: '5' },
    'no size': { ...good, size: undefined },
    'no start': { ...good, start: undefined },
    'no target': { ...good, target: undefined },
    'a start without a range': { ...good, size: 0, target: undefined },
    'a range that ends after 32 bits': { ...good, start: UINT32_MAX - 65_535 },
    'a target that ends after 32 bits': { ...good, target: UINT32_MAX - 65_535 },
    'no owner': { ...good, owner: undefined },
    "nobody's uid": { ...good, owner: UINT32_MAX },
    "nobody's uid of 16 bits": { ...good, owner: 65_535 },
    'half a uid': { ...good, owner: 0.5 },
    'a negative uid': { ...good, owner: -1 },
    'a name that leads elsewhere': { ...good, name: '/../x' },
    'a negative cgroup': { ...good, cgroups: [-1] },
    'a cgroup with a fraction': { ...good, cgroups: [1.5] },
    'cgroups that are no list': { ...good, cgroups: 5 },
    'a list': [],
    'no namespace id': { ...good, usernsId: -1 },
    'gids without a range': { owner: 0, name: 'a', userns: 5, startGid: 5 },
    'gids that end after 32 bits': { ...good, startGid: UINT32_MAX - 65_535 },
    'an answer that is neither yes nor no': { ...good, setgroupsDeny: null },
    'interfaces that have no name': { ...good, netifs: [5] },
    'seventeen delegates': { ...good, delegates: Array(17).fill({ start: 786_432, startGid: 786_432, size: 65_536 }) },
    'a delegate without ids': { ...good, delegates: [{ start: 786_432, startGid: 786_432, size: 0 }] },
    'a delegate without groups': { ...good, delegates: [{ start: 786_432, size: 65_536 }] },
  };
  for (const [what, fields] of Object.entries(bad)) t.equal(read(fields), undefined, what);
  t.equal(parseNamespaceEntry(''), undefined);
  t.equal(parseNamespaceEntry('{"owner":0'), undefined);
});

t.test('long numbers are kept apart from long strings, fractions and signs', async (t) => {
  const read = (cgroups: string, name = 'a') =>
    parseNamespaceEntry(`{"owner":0,"name":"${name}","userns":5,"cgroups":${cgroups}}`);
  t.same(read('[ 9007199254740993,12345678901234567890 ]')?.cgroups, [
    9_007_199_254_740_993n,
    12_345_678_901_234_567_890n,
  ]);
  t.equal(read('[18446744073709551616]'), undefined, 'more than 64 bits');
  t.equal(read('[-9007199254740993]'), undefined);
  t.equal(read('[0.9007199254740993123]'), undefined);
  t.equal(read('[9007199254740993.5]'), undefined);
  t.equal(read('[9007199254740993e5]'), undefined);
  t.equal(read('[]', '1234567890123456789')?.name, '1234567890123456789');
  t.equal(read('[9007199254740993]', '\\" 1234567890123456789'), undefined);
  t.same(read('[7,7,25]')?.cgroups, [7n, 25n], 'told twice, kept once');
});

t.test('whatever is in a file, it is read without an exception, and nothing but an entry comes of it', async () => {
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
      const entry = parseNamespaceEntry(text);
      return entry === undefined || parseNamespaceEntry(formatNamespaceEntry(entry)) !== undefined;
    }),
  );
});
