import { readFileSync } from 'node:fs';
import { type IdMapEntry, mappedIds, parseIdMap, readIdMap } from '@sdrx/linux';
import fc from 'fast-check';
import t from 'tap';
import { UserNamespace } from '../support/user-namespace.js';

const id = () => fc.integer({ min: 0, max: 0xffff_ffff });
const maps = (entry = fc.record({ inside: id(), outside: id(), count: id() }, { noNullPrototype: true })) =>
  fc.array(entry, { maxLength: 8 });

/** Few ids, so that entries meet and every single one can be looked at. */
const small = () =>
  maps(fc.record({ inside: fc.nat(30), outside: fc.nat(30), count: fc.integer({ min: 1, max: 10 }) }));

const contains = (map: readonly IdMapEntry[], side: 'inside' | 'outside', id: number) =>
  map.some(({ [side]: first, count }) => id >= first && id < first + count);

t.test('a map as the kernel prints it is read back', (t) => {
  fc.assert(
    fc.property(maps(), (map) => {
      const column = (number: number) => String(number).padStart(10);
      const lines = map.map(({ inside, outside, count }) => `${[inside, outside, count].map(column).join(' ')}\n`);
      t.strictSame(parseIdMap(lines.join('')), map);
    }),
  );
  t.end();
});

t.test('our own map is the one of /proc', (t) => {
  for (const kind of ['uid_map', 'gid_map'] as const) {
    const text = readFileSync(`/proc/self/${kind}`, 'ascii').trim().replace(/\s+/g, ' ');
    const numbers = readIdMap(kind).map(({ inside, outside, count }) => `${inside} ${outside} ${count}`);
    t.equal(numbers.join(' '), text);
  }
  t.end();
});

t.test('the map of a new user namespace is empty, and then what was written', (t) => {
  using namespace = new UserNamespace();
  t.strictSame(readIdMap('uid_map', `/proc/${namespace.child.pid}`), []);
  t.strictSame(readIdMap('gid_map', `/proc/${namespace.child.pid}`), []);
  using mapped = new UserNamespace(undefined, '--map-root-user');
  t.strictSame(readIdMap('uid_map', `/proc/${mapped.child.pid}`), [
    { inside: 0, outside: process.getuid?.(), count: 1 },
  ]);
  t.end();
});

t.test('the map of a process that is gone throws ENOENT', (t) => {
  t.throws(() => readIdMap('uid_map', `/proc/${0x7fff_ffff}`), { code: 'ENOENT' });
  t.end();
});

t.test('the ids of a map are those of its entries, in order, as few runs as there can be', (t) => {
  fc.assert(
    fc.property(small(), fc.constantFrom('inside', 'outside'), (map, side) => {
      const runs = mappedIds(map, side);
      const ids = runs.flatMap(({ first, count }) => Array.from({ length: count }, (_, index) => first + index));
      const wanted = Array.from({ length: 45 }, (_, id) => id).filter((id) => contains(map, side, id));
      t.strictSame(ids, wanted);
      t.equal(runs.length, wanted.filter((id) => !wanted.includes(id - 1)).length);
    }),
    { numRuns: 500 },
  );
  t.end();
});
