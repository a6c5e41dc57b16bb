import { readFileSync, rmSync } from 'node:fs';
import { BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_RINGBUF, BpfLink, BpfMap, BpfObject } from '@sdrx/bpf';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { runProgram } from '../support/run-program.js';
import { until } from '../support/until.js';
import { BpfFileSystem } from './bpf-file-system.js';
import { number } from './number.js';
import { COUNT, loadPackets, needsPrograms, packets, run, writeRecord } from './packets.js';

const forkCount = (object: BpfObject) => object.map('counts').get(number(0))?.readUInt32LE() ?? 0;

t.test(
  'an object file is loaded from its path or from memory, with its programs and maps',
  needsPrograms,
  leavingNothing((t) => {
    for (const file of [packets, readFileSync(packets)]) {
      using object = BpfObject.load(file, { programs: ['packet'] });
      t.strictSame(object.programs.sort(), ['careless', 'fork', 'packet']);
      t.strictSame(object.maps.sort(), ['counts', 'records', 'scratch']);
      t.equal(object.program('packet').name, 'packet');
      t.match(object.program('packet').tag, /^[0-9a-f]{16}$/);
      t.match(object.map('counts'), { type: BPF_MAP_TYPE_HASH, keySize: 4, valueSize: 8, maxEntries: 8 });
      const ids = ['records', 'scratch', 'counts'].map((name) => object.map(name).id);
      t.strictSame(object.program('packet').maps().sort(), ids.sort());
    }
  }),
);

t.test(
  'a program and its user share maps',
  needsPrograms,
  leavingNothing((t) => {
    using object = loadPackets();
    for (const size of [1, 2, 2, 3, 3, 3]) t.equal(run(object, COUNT, Buffer.alloc(size)), 0);
    const counts = [...object.map('counts').entries()].map(([key, value]) => [
      key.readUInt32LE(),
      value.readUInt32LE(),
    ]);
    t.strictSame(counts.sort(), [
      [5, 1],
      [6, 2],
      [7, 3],
    ]);
  }),
);

t.test(
  'what does not exist in it is named, with what does',
  needsPrograms,
  leavingNothing((t) => {
    const missing = { name: 'RangeError', message: /has no program 'nothing', but packet, careless, fork$/ };
    t.throws(() => BpfObject.load(packets, { programs: ['nothing'] }), missing);
    t.throws(() => BpfObject.load(packets, { programs: [], maps: { nothing: {} } }), { name: 'RangeError' });
    using object = loadPackets();
    t.throws(() => object.map('nothing'), { name: 'RangeError' });
    t.throws(() => object.program('nothing'), missing);
    t.throws(() => object.program('careless'), {
      name: 'RangeError',
      message: /program 'careless' of .* is not loaded/,
    });
    t.throws(() => object.attach('packet'), { name: 'RangeError', message: /nothing says what program 'packet'/ });
    t.throws(() => object.ringBuffer('counts'), { code: 'EINVAL' });
  }),
);

t.test(
  'maps can be of another size, or those of somebody else',
  needsPrograms,
  leavingNothing((t) => {
    using ring = BpfMap.create({ type: BPF_MAP_TYPE_RINGBUF, keySize: 0, valueSize: 0, maxEntries: 8192 });
    using object = loadPackets({ maps: { counts: { maxEntries: 1 }, records: { reuse: ring } } });
    t.equal(object.map('counts').maxEntries, 1);
    t.equal(object.map('records').id, ring.id);
    let written = 0;
    while (writeRecord(object, 'x')) written++;
    t.equal(written, 8192 / 16 - 1);
  }),
);

t.test(
  'a map with a pin path is the same in every object',
  needsPrograms,
  leavingNothing((t) => {
    using folder = new BpfFileSystem();
    const maps = { counts: { pinPath: `${folder.path}/counts` } };
    {
      using first = loadPackets({ maps });
      run(first, COUNT);
    }
    using second = loadPackets({ maps });
    run(second, COUNT);
    t.strictSame(second.map('counts').get(number(4)), Buffer.from([2, 0, 0, 0, 0, 0, 0, 0]));
    const other = { counts: { pinPath: `${folder.path}/counts`, maxEntries: 99 } };
    t.throws(() => loadPackets({ maps: other }), { code: 'ERR_BPF_LOAD' }, 'one that does not fit is refused');
  }),
);

t.test(
  'a program is attached until its link ends, or its object',
  needsPrograms,
  leavingNothing((t) => {
    const fork = () => runProgram('true', []);
    using object = BpfObject.load(packets, { programs: ['fork', 'packet'] });
    fork();
    t.equal(forkCount(object), 0);
    const [link, ...others] = object.attachAll();
    t.strictSame(others, [], 'only one of them says where it belongs');
    fork();
    const seen = forkCount(object);
    t.ok(seen > 0);
    t.equal(link?.programId, object.program('fork').id);
    link?.[Symbol.dispose]();
    const last = forkCount(object);
    fork();
    t.equal(forkCount(object), last);

    object.attach('fork');
    fork();
    t.ok(forkCount(object) > last);
    using counts = BpfMap.byId(object.map('counts').id);
    object[Symbol.dispose]();
    const end = counts.get(number(0));
    fork();
    t.strictSame(counts.get(number(0)), end);
    t.throws(() => object.attach('fork'), RangeError, 'it is gone');
  }),
);

t.test(
  'a pinned link outlives its object, until its name goes',
  needsPrograms,
  leavingNothing(async (t) => {
    using folder = new BpfFileSystem();
    const path = `${folder.path}/fork`;
    const programs = [0, 1].map(() => {
      using object = BpfObject.load(packets, { programs: ['fork'] });
      object.map('counts').pin(`${folder.path}/counts`);
      object.attach('fork').pin(path);
      return object.program('fork').id;
    });
    using counts = BpfMap.openPinned(`${folder.path}/counts`);
    const forks = () => counts.get(number(0))?.readUInt32LE() ?? 0;
    const before = forks();
    runProgram('true', []);
    t.ok(forks() > before);
    {
      using link = BpfLink.openPinned(path);
      t.equal(link.programId, programs[1], 'the second one took the name of the first');
      using program = link.program();
      t.equal(program.name, 'fork');
    }
    rmSync(path);
    await until(() => {
      const count = forks();
      runProgram('true', []);
      return forks() === count;
    });
  }),
);

t.test(
  'the verifier says why it refuses a program',
  needsPrograms,
  leavingNothing((t) => {
    const lines: string[] = [];
    const log = (level: string, message: string) => lines.push(`${level} ${message}`);
    t.throws(() => BpfObject.load(packets, { programs: ['careless'], log }), {
      name: 'BpfError',
      code: 'ERR_BPF_VERIFIER',
      message: /the kernel's verifier refuses the program \(R0 invalid mem access 'map_value_or_null'\), EACCES$/,
      log: [/BPF program load failed/, /BEGIN PROG LOAD LOG --\n(.*\n)*R0 invalid mem access/],
      cause: { code: 'EACCES' },
    });
    t.ok(lines.some((line) => line.startsWith('warning') && line.includes('invalid mem access')));
    t.ok(lines.some((line) => line.startsWith('debug')));
  }),
);

t.test(
  'what is no object file is refused',
  needsPrograms,
  leavingNothing((t) => {
    const none = { name: 'BpfError', code: 'ERR_BPF_OBJECT' };
    t.throws(() => BpfObject.load('/nowhere/program.bpf.o'), { ...none, message: /ENOENT.*nowhere/ });
    t.throws(() => BpfObject.load('/etc/passwd'), none);
    t.throws(() => BpfObject.load(Buffer.from('nothing')), none);
    t.throws(() => BpfObject.load(Buffer.alloc(0)), none);
    t.throws(() => BpfObject.load(readFileSync(packets).subarray(0, 5000)), none);
  }),
);

t.test(
  'an error of who takes the log is his, and nothing is left behind',
  needsPrograms,
  leavingNothing((t) => {
    const log = () => {
      throw new Error('no log today');
    };
    t.throws(() => loadPackets({ log }), { message: 'no log today' });
    t.throws(() => loadPackets({ programs: ['careless'], log }), { message: 'no log today' });
    let silent = true;
    using object = loadPackets({
      programs: ['fork'],
      log: () => {
        if (!silent) throw new Error('no log today');
      },
    });
    silent = false;
    try {
      object.attachAll();
    } catch (error) {
      t.match(error, { message: 'no log today' });
    }
    silent = true;
  }),
);
