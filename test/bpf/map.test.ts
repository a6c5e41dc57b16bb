import { openSync } from 'node:fs';
import {
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_HASH_OF_MAPS,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BpfMap,
} from '@sdrx/bpf';
import { Fd } from '@sdrx/linux';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { needsRoot } from '../support/privileges.js';
import { BpfFileSystem } from './bpf-file-system.js';
import { number } from './number.js';

const hash = { type: BPF_MAP_TYPE_HASH, keySize: 4, valueSize: 4, maxEntries: 8 };

t.test(
  'values are set, read, changed and removed',
  needsRoot,
  leavingNothing((t) => {
    using map = BpfMap.create({ ...hash, name: 'numbers' });
    t.match(map, { ...hash, name: 'numbers', flags: 0 });
    t.equal(map.get(number(1)), undefined);
    map.set(number(1), number(10));
    t.strictSame(map.get(number(1)), number(10));
    map.set(number(1), number(11));
    t.strictSame(map.get(number(1)), number(11));
    t.equal(map.delete(number(1)), true);
    t.equal(map.delete(number(1)), false);
    t.equal(map.get(number(1)), undefined);
  }),
);

t.test(
  'what is set can be made to be new, or to be there',
  needsRoot,
  leavingNothing((t) => {
    using map = BpfMap.create(hash);
    t.throws(() => map.set(number(1), number(1), 'replace'), { code: 'ENOENT', syscall: 'bpf(MAP_UPDATE_ELEM)' });
    map.set(number(1), number(1), 'create');
    t.throws(() => map.set(number(1), number(2), 'create'), { code: 'EEXIST' });
    map.set(number(1), number(3), 'replace');
    t.strictSame(map.get(number(1)), number(3));
  }),
);

t.test(
  'a map that is full says so',
  needsRoot,
  leavingNothing((t) => {
    using map = BpfMap.create(hash);
    for (let key = 0; key < 8; key++) map.set(number(key), number(key));
    t.throws(() => map.set(number(8), number(8)), { code: 'E2BIG' });
  }),
);

t.test(
  'keys and entries are listed, and may be removed on the way',
  needsRoot,
  leavingNothing((t) => {
    using map = BpfMap.create(hash);
    t.strictSame([...map.keys()], []);
    for (let key = 1; key <= 8; key++) map.set(number(key), number(key * key));
    const keys = [...map.keys()].map((key) => key.readUInt32LE());
    t.strictSame(keys.sort(), [1, 2, 3, 4, 5, 6, 7, 8]);
    const squares = [...map.entries()].map(([key, value]) => [key.readUInt32LE(), value.readUInt32LE()]);
    t.ok(squares.every(([key = 0, value]) => key * key === value));
    for (const key of [...map.keys()]) map.delete(key);
    t.strictSame([...map.entries()], []);
  }),
);

t.test(
  'many keys are removed in one call, whether they are there or not',
  needsRoot,
  leavingNothing((t) => {
    using map = BpfMap.create(hash);
    for (let key = 0; key < 8; key++) map.set(number(key), number(key));
    map.deleteAll([9, 0, 10, 11, 1, 2, 3, 4, 6, 7, 12].map(number));
    t.strictSame([...map.keys()], [number(5)]);
    map.deleteAll([]);
    t.strictSame([...map.keys()], [number(5)]);
  }),
);

t.test(
  'keys and values of another size are refused, before the kernel sees them',
  needsRoot,
  leavingNothing((t) => {
    using map = BpfMap.create(hash);
    t.throws(() => map.get(Buffer.alloc(3)), RangeError);
    t.throws(() => map.set(number(1), Buffer.alloc(8)), /a value of 8 bytes: those of map '' have 4/);
    t.throws(() => map.deleteAll([number(1), Buffer.alloc(5)]), RangeError);
  }),
);

t.test(
  "what is read is a copy, and what is passed stays the caller's",
  needsRoot,
  leavingNothing((t) => {
    using map = BpfMap.create(hash);
    const value = number(1);
    map.set(number(1), value);
    value.writeUInt32LE(2);
    const read = map.get(number(1));
    map.set(number(1), number(3));
    t.strictSame(read, number(1));
  }),
);

t.test(
  'a map with a value per CPU has them all',
  needsRoot,
  leavingNothing((t) => {
    using map = BpfMap.create({ type: BPF_MAP_TYPE_PERCPU_ARRAY, keySize: 4, valueSize: 4, maxEntries: 2 });
    t.ok(map.valueSize >= 8 && map.valueSize % 8 === 0);
    const values = Buffer.alloc(map.valueSize, 1);
    map.set(number(1), values);
    t.equal(map.get(number(1))?.readUInt32LE(map.valueSize - 8), 0x01010101, "the last CPU's");
    t.strictSame(map.get(number(0)), Buffer.alloc(map.valueSize));
  }),
);

t.test(
  'an array has all its keys, and none can be removed',
  needsRoot,
  leavingNothing((t) => {
    using map = BpfMap.create({ type: BPF_MAP_TYPE_ARRAY, keySize: 4, valueSize: 8, maxEntries: 3 });
    t.strictSame([...map.keys()], [0, 1, 2].map(number));
    t.throws(() => map.delete(number(0)), { code: 'EINVAL', subject: '' });
  }),
);

t.test(
  'a map of maps takes maps, and tells their ids',
  needsRoot,
  leavingNothing((t) => {
    using inner = BpfMap.create(hash);
    using outer = BpfMap.create({ ...hash, type: BPF_MAP_TYPE_HASH_OF_MAPS, inner });
    {
      using other = BpfMap.create({ ...hash, maxEntries: 100 });
      other.set(number(1), number(2));
      outer.set(number(7), number(other.fd));
      t.strictSame(outer.get(number(7)), number(other.id));
    }
    const id = outer.get(number(7))?.readUInt32LE() ?? 0;
    {
      using found = BpfMap.byId(id);
      t.strictSame(found.get(number(1)), number(2), 'the outer map keeps it');
    }
    using unlike = BpfMap.create({ ...hash, keySize: 8 });
    t.throws(() => outer.set(number(7), number(unlike.fd)), { code: 'EINVAL' });
    outer.deleteAll([number(7)]);
    t.equal(outer.get(number(7)), undefined);
  }),
);

t.test(
  'a pinned map is found again, and another one takes its name',
  needsRoot,
  leavingNothing((t) => {
    using folder = new BpfFileSystem();
    const path = `${folder.path}/map`;
    t.throws(() => BpfMap.openPinned(path), { code: 'ENOENT', subject: path });
    const ids = [0, 1].map(() => {
      using map = BpfMap.create(hash);
      map.set(number(1), number(map.id));
      map.pin(path);
      return map.id;
    });
    using found = BpfMap.openPinned(path);
    t.strictSame([found.id, found.get(number(1))], [ids[1], number(ids[1] ?? 0)]);
    t.throws(() => BpfMap.byId(ids[0] ?? 0), { code: 'ENOENT' }, 'nobody has the first one any more');
  }),
);

t.test(
  'what is no map, or no good one, is refused',
  needsRoot,
  leavingNothing((t) => {
    t.throws(() => new BpfMap(new Fd(openSync('/dev/null', 'r'))), { code: 'EINVAL' });
    t.throws(() => BpfMap.create({ ...hash, type: 999 }), { code: 'EINVAL', syscall: 'bpf(MAP_CREATE)' });
    t.throws(() => BpfMap.create({ ...hash, name: 'longer than allowed' }), { code: 'EINVAL' });
    const closed = BpfMap.create(hash);
    closed[Symbol.dispose]();
    closed[Symbol.dispose]();
    t.throws(() => closed.get(number(1)), { code: 'EBADF' });
  }),
);
