import { candidates, firstIdOf, isSize, isTransient, places, SIZES, TRIES } from '@sdrx/daemon';
import fc from 'fast-check';
import t from 'tap';

t.test('a name hashes to the ids that systemd gives it, too', async (t) => {
  const firstOf = (name: string) => SIZES.map((size) => [...candidates(name, size)][0]);
  t.same(firstOf('probe'), [63_302, 1_429_471_232]);
  t.same(firstOf('alpha'), [61_970, 1_610_678_272]);
  t.same(firstOf('container-1'), [61_900, 483_655_680]);
  t.same(firstOf('1000-web'), [65_472, 1_683_226_624]);
});

t.test('every candidate is within the limits of its size, and there are a hundred', async (t) => {
  fc.assert(
    fc.property(fc.string(), (name) => {
      const large = [...candidates(name, 65_536)];
      const small = [...candidates(name, 1)];
      return (
        large.length === TRIES &&
        small.length === TRIES &&
        large.every((start) => start >= 0x8_0000 && start < 0x6fff_0000 && start % 65_536 === 0) &&
        small.every((start) => start >= 61_184 && start < 65_519)
      );
    }),
  );
  t.equal(new Set(candidates('probe', 65_536)).size > 90, true, 'those after the first are random');
});

t.test('beside the candidates there are all places, each once, from any one on', async (t) => {
  for (const [size, count, first, last] of [
    [1, 4336, 61_184, 65_519],
    [65_536, 28_663, 0x8_0000, 0x6ffe_0000],
  ] as const) {
    const all = [...places(size)];
    t.equal(all.length, count);
    const sorted = [...new Set(all)].sort((a, b) => a - b);
    t.strictSame([sorted.length, sorted[0], sorted.at(-1)], [count, first, last]);
    t.ok(all.every((start) => firstIdOf(start) === start));
    const beginnings = new Set(Array.from({ length: 20 }, () => [...places(size)][0]));
    t.ok(beginnings.size > 10, `${beginnings.size} of 20 begin elsewhere`);
  }
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
  t.equal(firstIdOf(1_429_471_232 + 65_535), 1_429_471_232);
  t.equal(firstIdOf(0x6fff_ffff), 0x6fff_0000);
  t.equal(firstIdOf(61_184), 61_184);
  t.equal(firstIdOf(65_519), 65_519);
  for (const id of [0, 1000, 61_183, 65_520, 65_534, 65_535, 0x7_ffff, 0x7000_0000, 0xffff_ffff]) {
    t.equal(firstIdOf(id), undefined, `${id} is nobody's`);
  }
});

t.test('every id of a candidate range leads back to the candidate', async () => {
  fc.assert(
    fc.property(fc.string(), fc.nat(65_535), (name, offset) => {
      const [large, small] = [[...candidates(name, 65_536)], [...candidates(name, 1)]];
      return large.every((start) => firstIdOf(start + offset) === start) && small.every((id) => firstIdOf(id) === id);
    }),
  );
});

t.test('there are two sizes', async (t) => {
  t.same([0, 1, 2, 65_535, 65_536, 1.5].filter(isSize), [1, 65_536]);
});
