import { firstIdOf, IdBlocks, isSize, isTransient, rangeHash, SIZES, type Size } from '@sdrx/daemon';
import type { IdRun } from '@sdrx/linux';
import fc from 'fast-check';
import t from 'tap';

const ALL: readonly IdRun[] = [{ first: 0, count: 0xffff_ffff }];

/** Ids that a namespace may have, as the kernel has them: in order, none twice. */
const someIds: fc.Arbitrary<readonly IdRun[]> = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 0x4000_0000 }), fc.oneof(fc.nat(200_000), fc.nat(10))), { maxLength: 8 })
  .map((pairs) => {
    let next = 60_000;
    return pairs.map(([gap, count]) => {
      const first = next + gap;
      next = first + count;
      return { first, count };
    });
  });

/** The same blocks, by looking at every id that one could begin with. */
function plainBlocks(ids: readonly IdRun[], size: Size): number[] {
  const [first, end] = size === 1 ? [61_184, 65_520] : [0x8_0000, 0x6fff_0000];
  const found: number[] = [];
  for (let start = first; start < end; start += size)
    if (ids.some((run) => run.first <= start && start + size <= run.first + run.count)) found.push(start);
  return found;
}

function all(blocks: IdBlocks): number[] {
  return Array.from({ length: blocks.length }, (_, index) => blocks.at(index));
}

t.test('a name hashes to the ids that systemd 262 gives it', async (t) => {
  const firstOf = (name: string) =>
    SIZES.map((size) => {
      const blocks = new IdBlocks(ALL, size);
      return blocks.at(Number(rangeHash(name) % BigInt(blocks.length)));
    });
  t.same(firstOf('probe'), [64_588, 1_622_999_040]);
  t.same(firstOf('alpha'), [63_198, 736_690_176]);
  t.same(firstOf('container-1'), [61_521, 539_688_960]);
  t.same(firstOf('1000-web'), [65_101, 882_049_024]);
});

t.test('of all ids there are so many blocks of each size', async (t) => {
  for (const [size, count, first, last] of [
    [1, 4336, 61_184, 65_519],
    [65_536, 28_663, 0x8_0000, 0x6ffe_0000],
  ] as const) {
    const blocks = new IdBlocks(ALL, size);
    t.same([blocks.length, blocks.at(0), blocks.at(count - 1)], [count, first, last]);
    t.throws(() => blocks.at(count), RangeError);
    t.equal(new Set(blocks.fromAnywhere()).size, count);
    const beginnings = new Set(Array.from({ length: 20 }, () => blocks.fromAnywhere().next().value));
    t.ok(beginnings.size > 10, `${beginnings.size} of 20 begin elsewhere`);
  }
});

t.test('of some ids they are those that are there as a whole', async () => {
  fc.assert(
    fc.property(someIds, fc.constantFrom(...SIZES), (ids, size) => {
      const blocks = new IdBlocks(ids, size);
      return String(all(blocks)) === String(plainBlocks(ids, size));
    }),
    { numRuns: 50 },
  );
});

t.test('one that is removed is not there any more, and all others are, in their order', async () => {
  const few: readonly IdRun[] = [
    { first: 0x10_0000, count: 5 * 65_536 },
    { first: 0x40_0000, count: 65_536 },
    { first: 0x50_0000, count: 3 * 65_536 + 7 },
  ];
  fc.assert(
    fc.property(fc.array(fc.nat(12)), (removals) => {
      const blocks = new IdBlocks(few, 65_536);
      let expected = plainBlocks(few, 65_536);
      for (const index of removals) {
        // Also one that is gone, or never was there.
        const start = plainBlocks(few, 65_536)[index] ?? 0x20_0000;
        blocks.remove(start);
        expected = expected.filter((other) => other !== start);
        if (String(all(blocks)) !== String(expected)) return false;
      }
      return true;
    }),
  );
});

t.test('large ones begin at multiples of their size, by which their users are found', async (t) => {
  const blocks = new IdBlocks([{ first: 0x10_0010, count: 3 * 65_536 }], 65_536);
  t.same(all(blocks), [0x11_0000, 0x12_0000]);
  t.equal(new IdBlocks([{ first: 0x8_0000, count: 65_535 }], 65_536).length, 0, 'one id is missing');
});

t.test('only ids that are given away are transient', async (t) => {
  t.same([0, 1000, 61_183, 61_184, 65_519, 65_520, 0x7_ffff, 0x8_0000, 0x6fff_ffff, 0x7000_0000].map(isTransient), [
    ...[false, false, false, true, true, false],
    ...[false, true, true, false],
  ]);
});

t.test('an id is looked up by the first one of its range', async (t) => {
  t.equal(firstIdOf(0x8_0000), 0x8_0000);
  t.equal(firstIdOf(0x8_ffff), 0x8_0000);
  t.equal(firstIdOf(1_622_999_040 + 65_535), 1_622_999_040);
  t.equal(firstIdOf(0x6fff_ffff), 0x6fff_0000);
  t.equal(firstIdOf(61_184), 61_184);
  t.equal(firstIdOf(65_519), 65_519);
  for (const id of [0, 1000, 61_183, 65_520, 65_534, 65_535, 0x7_ffff, 0x7000_0000, 0xffff_ffff]) {
    t.equal(firstIdOf(id), undefined, `${id} is nobody's`);
  }
});

t.test('every id of a block leads back to the block', async () => {
  fc.assert(
    fc.property(fc.string(), fc.nat(65_535), (name, offset) => {
      const [small, large] = SIZES.map((size) => {
        const blocks = new IdBlocks(ALL, size);
        return blocks.at(Number(rangeHash(name) % BigInt(blocks.length)));
      });
      return small === firstIdOf(small ?? 0) && large === firstIdOf((large ?? 0) + offset);
    }),
  );
});

t.test('there are two sizes', async (t) => {
  t.same([0, 1, 2, 65_535, 65_536, 1.5].filter(isSize), [1, 65_536]);
});
