import {
  type IdSource,
  idsOf,
  NameAnswers,
  NameLookups,
  namespaceResource,
  RangeSearch,
  type RangeWish,
  Registry,
  TRIES,
} from '@sdrx/daemon';
import { EventLoop } from '@sdrx/event';
import type { IdMapEntry } from '@sdrx/linux';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { runtimeFolder } from './runtime-folder.js';

const { NoDynamicRange, DynamicRangeUnavailable } = namespaceResource.errors;
const SIZE = 65_536;
const FIRST = 0x10_0000;
const GIVER = 7;

/** What a namespace has of which `count` ranges have the same numbers inside. */
function source(count: number): IdSource {
  const map: readonly IdMapEntry[] = [
    { inside: 0, outside: 0x4000_0000, count: SIZE },
    { inside: FIRST, outside: FIRST, count: count * SIZE },
  ];
  return idsOf({ uid_map: map, gid_map: map }, GIVER);
}

/** A registry in which some of these ranges are taken, and which notes each that it is asked for. */
function registryWith(t: Test, taken: ReadonlySet<number>) {
  const registry = Registry.open(runtimeFolder(t));
  t.teardown(() => registry[Symbol.dispose]());
  const tried: number[] = [];
  registry.holdersOf = (start, size, giver) => {
    if (size !== SIZE || giver !== GIVER) throw new Error(`asked for ${size} ids of ${giver}`);
    tried.push((start - FIRST) / SIZE);
    return taken.has((start - FIRST) / SIZE) ? [start] : [];
  };
  return { registry, tried };
}

function search(count: number): RangeSearch {
  using loop = new EventLoop();
  return new RangeSearch(source(count), new NameAnswers(loop, new NameLookups(10_000, async () => false)));
}

t.test('what is taken is not tried again, and the next try is one of those that are left', async (t) => {
  const { registry, tried } = registryWith(t, new Set([0, 1, 2, 3, 4, 5, 6, 7, 8]));
  const firsts = new Set<number | undefined>();
  for (let round = 0; round < 20; round++) {
    tried.length = 0;
    t.strictSame(search(10).find([[SIZE, 'probe']], registry), [FIRST + 9 * SIZE]);
    t.equal(new Set(tried).size, tried.length, tried.join(' '));
    firsts.add(tried[0]);
  }
  t.equal(firsts.size, 1, 'the first is the one that the name has');
});

t.test('after 99 tries that is the end of it', async (t) => {
  const { registry, tried } = registryWith(t, new Set(Array.from({ length: 1000 }, (_, index) => index)));
  t.throws(() => search(1000).find([[SIZE, 'probe']], registry), NoDynamicRange());
  t.equal(tried.length, 99);
  t.equal(TRIES, 99);
  tried.length = 0;
  t.throws(() => search(98).find([[SIZE]], registry), NoDynamicRange());
  t.strictSame(
    tried.sort((a, b) => a - b),
    Array.from({ length: 98 }, (_, index) => index),
    'or when all are tried',
  );
  t.throws(() => search(0).find([[SIZE]], registry), DynamicRangeUnavailable());
});

t.test('as many as are wished for are found, or none, and the same ones each time', async (t) => {
  const { registry } = registryWith(t, new Set());
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 17 }),
      fc.string(),
      (count, wishes, name) => {
        const looking = search(count);
        const all = Array.from({ length: wishes }, (_, index): RangeWish => (index === 0 ? [SIZE, name] : [SIZE]));
        const find = (): readonly number[] | undefined => {
          try {
            return looking.find(all, registry);
          } catch {
            return undefined;
          }
        };
        const found = find();
        if (String(find()) !== String(found)) return false;
        if (found === undefined) return wishes > count;
        const indexes = found.map((start) => (start - FIRST) / SIZE);
        return (
          wishes <= count &&
          new Set(indexes).size === wishes &&
          indexes.every((index) => Number.isInteger(index) && index >= 0 && index < count)
        );
      },
    ),
  );
});

t.test('who is in the way is told', async (t) => {
  const { registry } = registryWith(t, new Set([0, 2]));
  const looking = search(3);
  t.throws(() => looking.find([[SIZE], [SIZE]], registry), NoDynamicRange());
  t.strictSame([...looking.obstacles].sort(), [FIRST, FIRST + 2 * SIZE]);
});
