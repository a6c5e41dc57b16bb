import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname } from 'node:path';
import { type NamespaceEntry, Registry } from '@sdrx/daemon';
import { bind, Fd, O_DIRECTORY, O_PATH, unixSocket } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { startDaemon } from '../support/daemon.js';
import { Folder } from '../support/folder.js';
import { isRangeFree } from '../support/is-range-free.js';
import { leavingNothing } from '../support/nothing-left.js';
import { needsRoot } from '../support/privileges.js';
import { faultsOf } from './registry-check.js';
import { runtimeFolder } from './runtime-folder.js';

const probe: NamespaceEntry = {
  owner: 1000,
  name: 'probe',
  userns: 7,
  range: { start: 786_432, size: 65_536, target: 0 },
  cgroups: [],
};

/** What may stand where a file of the registry is looked for. */
const ODD: Record<string, (path: string, elsewhere: string) => unknown> = {
  'a folder': (path) => mkdirSync(path),
  'a full folder': (path) => mkdirSync(`${path}/below`, { recursive: true }),
  'a FIFO': (path) => execFileSync('mkfifo', [path]),
  'a socket': bindSocket,
  'a link to itself': (path) => symlinkSync(path, path),
  'a link to nowhere': (path) => symlinkSync('/nowhere', path),
  'a link to a file elsewhere': (path, elsewhere) => symlinkSync(`${elsewhere}/file`, path),
  'a link to a folder elsewhere': (path, elsewhere) => symlinkSync(elsewhere, path),
  'a device': (path) => execFileSync('mknod', [path, 'c', '1', '5']),
};

/** Each file that belongs to an entry, and those that are there once for all. */
const PLACES = [
  'lock',
  'i7.userns',
  'nprobe.userns',
  'u786432.userns',
  'g786432.userns',
  'o1000.owns',
  'o1000.owns/i7.userns',
  'u786432.delegate',
  'g786432.delegate',
  '.#1-0-0',
];

function bindSocket(path: string): void {
  // A path of the folder is too long for a socket's address.
  using folder = new Fd(openSync(dirname(path), O_PATH | O_DIRECTORY));
  using socket = unixSocket();
  bind(socket.number, `/proc/self/fd/${folder.number}/${basename(path)}`);
}

/** A registry with something odd in it, and a folder elsewhere that must stay as it is. */
function plant(t: Test, place: string, odd: string) {
  const elsewhere = t.testdir({ elsewhere: { file: '{"owner":1000,"name":"probe","userns":7}', 'i7.userns': '{}' } });
  const runtime = `${elsewhere}/run`;
  const directory = `${runtime}/nsresource/registry`;
  mkdirSync(directory, { recursive: true });
  if (place.includes('/')) mkdirSync(`${directory}/o1000.owns`);
  ODD[odd]?.(`${directory}/${place}`, `${elsewhere}/elsewhere`);
  const untouched = () => {
    t.same(readdirSync(`${elsewhere}/elsewhere`).sort(), ['file', 'i7.userns'], 'nothing elsewhere is removed');
    t.equal(readFileSync(`${elsewhere}/elsewhere/i7.userns`, 'utf8'), '{}');
    t.match(readFileSync(`${elsewhere}/elsewhere/file`, 'utf8'), /^\{"owner"/);
  };
  return { runtime, directory, untouched };
}

for (const [odd, make] of Object.entries(ODD)) {
  const options = make === ODD['a device'] ? needsRoot : {};
  t.test(`${odd} in place of a file`, options, async (t) => {
    for (const place of PLACES) {
      t.test(
        place,
        leavingNothing(async (t) => {
          const { runtime, directory, untouched } = plant(t, place, odd);
          using registry = Registry.open(runtime);
          const told: string[] = [];
          t.same(
            registry.inodes((file) => told.push(file)),
            [],
          );
          registry.repair();
          t.equal(registry.byInode(7), undefined);
          t.same([registry.count(1000), registry.ownedBy(1000)], [0, []]);
          registry.remove(7);
          // Names and ids that something odd has are not given away, all else is.
          const isTaken = /^[nug]/.test(place);
          t.equal(registry.hasName('probe') || !isRangeFree(registry, 786_432, 65_536), isTaken);
          if (isTaken && place.endsWith('.userns')) t.throws(() => registry.store(probe), { code: 'EEXIST' });
          else if (isTaken) t.equal(isRangeFree(registry, 786_432, 65_536), false);
          else {
            registry.store(probe);
            t.same(registry.byName('probe'), probe);
            t.same(registry.byStart(786_432), probe);
            t.same(registry.ownedBy(1000), [7]);
            registry.update({ ...probe, cgroups: [5n] });
            registry.remove(7);
            t.equal(registry.byName('probe'), undefined);
          }
          registry.store({ ...probe, userns: 8, name: 'other', range: { start: 851_968, size: 65_536, target: 0 } });
          t.equal(registry.count(1000), 1);
          registry.remove(8);
          registry.repair();
          untouched();
          // An empty folder of an owner is what a killed process may leave behind.
          const isLeftOver = odd === 'a folder' && place === 'o1000.owns';
          const present = readdirSync(directory, { recursive: true, encoding: 'utf8' });
          t.equal(
            present.some((file) => file.startsWith(place)),
            !isLeftOver,
            'what is odd is not lost',
          );
        }),
      );
    }
  });
}

for (const odd of Object.keys(ODD)) {
  t.test(`a living entry gets its links back where ${odd} stands`, needsRoot, async (t) => {
    for (const place of ['nprobe.userns', 'u786432.userns', 'g786432.userns', 'o1000.owns/i7.userns']) {
      const { runtime, directory, untouched } = plant(t, 'other', odd);
      using registry = Registry.open(runtime);
      registry.store(probe);
      unlinkSync(`${directory}/${place}`);
      ODD[odd]?.(`${directory}/${place}`, `${runtime}/../elsewhere`);
      t.same(registry.repair().restored, [place]);
      t.same(registry.byInode(7), probe);
      t.equal(isRangeFree(registry, 786_432, 65_536), false);
      const faults = faultsOf(registry, directory).filter((fault) => !/^other|\.odd-/.test(fault));
      t.same(faults, [], place);
      untouched();
    }
  });
}

t.test('files that no entry can be are not read to their end', async (t) => {
  const registry = Registry.open(runtimeFolder(t));
  t.teardown(() => registry[Symbol.dispose]());
  const path = `${registry.directory}/i7.userns`;
  for (const [what, write] of [
    ['nothing', () => writeFileSync(path, '')],
    ['no UTF-8', () => writeFileSync(path, Buffer.from('{"owner":0,"name":"\xff","userns":7}', 'latin1'))],
    ['a huge file', () => truncateSync(path, 2 ** 40)],
    ['what is nested deeply', () => writeFileSync(path, '['.repeat(200_000))],
    ['a field told twice', () => writeFileSync(path, '{"owner":0,"name":"a","userns":7,"owner":1}')],
    ['a list of entries', () => writeFileSync(path, '[{"owner":0,"name":"a","userns":7}]')],
  ] as const) {
    write();
    t.throws(() => registry.byInode(7), { code: 'EBADMSG' }, what);
    t.ok(registry.hasInode(7), what);
    t.equal(registry.repair().failures.length, 1, what);
  }
  registry.remove(7);
  t.same(readdirSync(registry.directory), ['lock']);
});

t.test('a lock file that tells nothing leads to a look at everything', async (t) => {
  const registry = Registry.open(runtimeFolder(t));
  t.teardown(() => registry[Symbol.dispose]());
  for (const text of [
    'nonsense',
    '5',
    '{}',
    '[1]',
    `["${'x'.repeat(100_000)}"]`,
    '["../../file","o1.owns/../../file"]',
  ]) {
    writeFileSync(`${registry.directory}/../../file`, 'kept');
    writeFileSync(`${registry.directory}/nleft.userns`, '{"owner":0,"name":"left","userns":5}');
    writeFileSync(`${registry.directory}/lock`, text);
    registry.store(probe);
    t.equal(readFileSync(`${registry.directory}/lock`, 'utf8'), '');
    t.equal(existsSync(`${registry.directory}/nleft.userns`), text.startsWith('["..'), text.slice(0, 20));
    t.equal(readFileSync(`${registry.directory}/../../file`, 'utf8'), 'kept');
    registry.remove(7);
  }
});

t.test('the daemon starts and serves whatever stands in its registry', needsRoot, async (t) => {
  using folder = new Folder();
  const directory = folder.join('nsresource/registry');
  mkdirSync(directory, { recursive: true });
  mkdirSync(folder.join('elsewhere'));
  writeFileSync(folder.join('elsewhere/i7.userns'), '{}');
  let count = 0;
  for (const make of Object.values(ODD)) {
    const file = `i${++count}.userns`;
    await make(`${directory}/${file}`, folder.join('elsewhere'));
    await make(`${directory}/n${count}.userns`, folder.join('elsewhere'));
    await make(`${directory}/o${count}.owns`, folder.join('elsewhere'));
  }
  await ODD['a FIFO']?.(`${directory}/lock`, '');
  const daemon = await startDaemon(t, { runtimeDirectory: folder.path });
  for (let number = 1; number <= count; number++) t.match(daemon.log(), `ignored: 'i${number}.userns'`);
  t.strictSame(readdirSync(folder.join('elsewhere')), ['i7.userns']);
  await daemon.stop();
});
