import { linkSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import {
  formatNamespaceEntry,
  type NamespaceEntry,
  parseDelegation,
  parseNamespaceEntry,
  Registry,
} from '@sdrx/daemon';
import t, { type Test } from 'tap';
import { isRangeFree } from '../support/is-range-free.js';
import { faultsOf, filesOf } from './registry-check.js';
import { runtimeFolder } from './runtime-folder.js';

/** As systemd 262 writes it: fields in its order, a line end after them. */
const MANAGED =
  '{"owner":1000,"name":"1000-web","userns":4026532100,"usernsId":18446744073709551615,"size":65536,"start":720896,' +
  '"target":0,"startGid":720896,"targetGid":0,"setgroupsDeny":false,"cgroups":[9007199254740993],' +
  '"netifs":["ns-1a2b3c4d"],"delegates":[{"userns":4026532100,"start":786432,"startGid":786432,"size":65536},' +
  '{"userns":4026532100,"start":851968,"startGid":851968,"size":65536}]}\n';
const SELF_OF_ROOT =
  '{"owner":0,"name":"self","userns":4026532101,"usernsId":42,"size":1,"start":0,"target":0,"startGid":0,"targetGid":0,' +
  '"setgroupsDeny":true}\n';
const SELF_OF_USER =
  '{"owner":1000,"name":"1000-self","userns":4026532102,"size":1,"start":1000,"target":0,"startGid":100,"targetGid":0,' +
  '"setgroupsDeny":true}\n';
const REGISTERED = '{"owner":1001,"name":"1001-own","userns":4026532103,"usernsId":43,"setgroupsDeny":false}\n';

/** As systemd 257 writes it. */
const OLD = '{"owner":0,"name":"old","userns":4026532104,"start":65000,"size":1,"target":0,"cgroups":[25]}\n';

interface Planted {
  readonly registry: Registry;
  readonly directory: string;
}

function open(t: Test): Planted {
  const registry = Registry.open(runtimeFolder(t));
  t.teardown(() => registry[Symbol.dispose]());
  return { registry, directory: registry.directory };
}

/** Puts a file and hard links to it where systemd puts them. */
function plant({ directory }: Planted, text: string, file: string, ...links: readonly string[]): void {
  writeFileSync(`${directory}/${file}`, text);
  for (const link of links) {
    if (link.includes('/')) mkdirSync(`${directory}/${link.slice(0, link.indexOf('/'))}`, { recursive: true });
    linkSync(`${directory}/${file}`, `${directory}/${link}`);
  }
}

function plantAll(t: Test): Planted {
  const planted = open(t);
  const put = (text: string, ...links: readonly string[]) => {
    const { owner, name, userns } = parseNamespaceEntry(text) as NamespaceEntry;
    plant(planted, text, `i${userns}.userns`, `n${name}.userns`, `o${owner}.owns/i${userns}.userns`, ...links);
  };
  put(MANAGED, 'u720896.userns', 'g720896.userns');
  for (const start of [786_432, 851_968]) {
    const delegation = `{"userns":4026532100,"start":${start},"startGid":${start},"size":65536}\n`;
    plant(planted, delegation, `u${start}.delegate`, `g${start}.delegate`);
  }
  put(SELF_OF_ROOT);
  put(SELF_OF_USER);
  put(REGISTERED);
  return planted;
}

t.test('a registry of systemd 262 is in order for us', async (t) => {
  const { registry, directory } = plantAll(t);
  const before = filesOf(directory);
  t.same(registry.repair(), { removed: [], restored: [], failures: [] });
  t.same(filesOf(directory), before);
  const odd: string[] = [];
  t.same(
    registry.inodes((file) => odd.push(file)).sort(),
    [4_026_532_100, 4_026_532_101, 4_026_532_102, 4_026_532_103],
  );
  t.same(odd, []);
  t.same(faultsOf(registry, directory), []);
});

t.test('all that it tells is read', async (t) => {
  const { registry } = plantAll(t);
  t.same(registry.byName('1000-web'), {
    owner: 1000,
    name: '1000-web',
    userns: 4_026_532_100,
    usernsId: 18_446_744_073_709_551_615n,
    range: { start: 720_896, size: 65_536, target: 0 },
    setgroupsDeny: false,
    cgroups: [9_007_199_254_740_993n],
    netifs: ['ns-1a2b3c4d'],
    delegates: [
      { userns: 4_026_532_100, start: 786_432, startGid: 786_432, size: 65_536 },
      { userns: 4_026_532_100, start: 851_968, startGid: 851_968, size: 65_536 },
    ],
  });
  t.same(registry.byInode(4_026_532_101), {
    owner: 0,
    name: 'self',
    userns: 4_026_532_101,
    usernsId: 42n,
    range: { start: 0, size: 1, target: 0 },
    setgroupsDeny: true,
    cgroups: [],
  });
  t.same(registry.byName('1000-self')?.range, { start: 1000, size: 1, target: 0, startGid: 100 });
  t.same(registry.byStart(720_896)?.userns, 4_026_532_100);
  t.same(registry.byStartGid(720_896)?.userns, 4_026_532_100);
  t.same(
    [0, 1000, 1001].map((owner) => registry.count(owner)),
    [1, 2, 1],
  );
});

t.test("neither a range nor what was delegated of one is free, a user's own ids are nobody's to give", async (t) => {
  const { registry } = plantAll(t);
  t.same(
    [720_896, 786_432, 851_968, 917_504].map((start) => isRangeFree(registry, start, 65_536)),
    [false, false, false, true],
  );
  t.same(registry.holdersOf(786_432, 65_536), [4_026_532_100]);
  t.same(registry.unregistered([655_360, 720_896, 786_432, 917_504]), [655_360, 917_504]);
});

t.test('an update keeps every other field to the last digit', async (t) => {
  const { registry, directory } = plantAll(t);
  const entry = registry.byName('1000-web') as NamespaceEntry;
  registry.update({ ...entry, cgroups: [...entry.cgroups, 7n] });
  const text = readFileSync(`${directory}/i4026532100.userns`, 'utf8');
  // Gids that are the uids' need not be written: both releases take those for them.
  t.equal(
    text,
    MANAGED.trim()
      .replace('9007199254740993', '9007199254740993,7')
      .replace(
        '"size":65536,"start":720896,"target":0,"startGid":720896,"targetGid":0',
        '"start":720896,"size":65536,"target":0',
      ),
  );
  t.same(faultsOf(registry, directory), []);
  registry.update({ ...entry, netifs: [] });
  t.equal(registry.byName('1000-web')?.netifs, undefined);
  t.same(registry.byName('1000-web')?.delegates, entry.delegates);
  t.same(faultsOf(registry, directory), []);
});

t.test('fields of releases to come stay as they are, at any depth', async (t) => {
  const later =
    '{"owner":1000,"name":"1000-new","userns":4026532105,"size":1,"start":65001,"target":0,"cgroups":[25],' +
    '"delegates":[{"userns":4026532105,"start":917504,"startGid":917504,"size":65536,"note":{"deep":[1.50,null]}}],' +
    '"big":123456789012345678901234567890,"float":1.0,"exponent":1e5,"negative":-0,"text":"\\u00e4\\u0000",' +
    '"list":[18446744073709551615,{"a":[]}],"nothing":null,"__proto__":{"x":1}}';
  const planted = open(t);
  plant(planted, later, 'i4026532105.userns', 'n1000-new.userns', 'u65001.userns', 'o1000.owns/i4026532105.userns');
  plant(
    planted,
    '{"userns":4026532105,"start":917504,"startGid":917504,"size":65536,"more":9007199254740993}',
    'u917504.delegate',
  );
  const { registry, directory } = planted;
  registry.repair();
  registry.update({ ...(registry.byInode(4_026_532_105) as NamespaceEntry), cgroups: [26n] });
  const text = readFileSync(`${directory}/u65001.userns`, 'utf8');
  for (const kept of [
    '"note":{"deep":[1.50,null]}',
    '"big":123456789012345678901234567890,"float":1.0,"exponent":1e5,"negative":-0,"text":"ä\\u0000"',
    '"list":[18446744073709551615,{"a":[]}],"nothing":null,"__proto__":{"x":1}}',
    '"cgroups":[26]',
  ]) {
    t.ok(text.includes(kept), `${kept} in ${text}`);
  }
  t.match(readFileSync(`${directory}/g917504.delegate`, 'utf8'), '"more":9007199254740993');
  t.same(faultsOf(registry, directory), []);
});

t.test('removal takes all with it', async (t) => {
  const { registry, directory } = plantAll(t);
  for (const inode of registry.inodes()) registry.remove(inode);
  t.same([...filesOf(directory).keys()], []);
  t.ok(isRangeFree(registry, 786_432, 65_536));
});

t.test('what we write has only fields that systemd 257 knows, unless systemd 262 has written others', async (t) => {
  const known = ['owner', 'name', 'userns', 'start', 'size', 'target', 'cgroups'];
  const entry = { owner: 5, name: '5-a', userns: 7, range: { start: 65_000, size: 1, target: 0 }, cgroups: [5n] };
  t.same(Object.keys(JSON.parse(formatNamespaceEntry(entry))), known);
  const { registry, directory } = open(t);
  registry.store(entry);
  t.same(
    [...filesOf(directory).keys()].sort(),
    ['g65000.userns', 'i7.userns', 'n5-a.userns', 'o5.owns', 'o5.owns/i7.userns', 'u65000.userns'],
    'and the link that systemd 262 finds groups by',
  );
});

t.test("a registry of systemd 257 gets the links by gid, and what 257 leaves of them is in nobody's way", async (t) => {
  const planted = open(t);
  const { registry, directory } = planted;
  plant(planted, OLD, 'i4026532104.userns', 'nold.userns', 'u65000.userns', 'o0.owns/i4026532104.userns');
  t.equal(registry.byStart(65_000)?.name, 'old');
  t.same(registry.repair().restored, ['g65000.userns']);
  t.equal(registry.byStartGid(65_000)?.name, 'old');
  registry.remove(4_026_532_104);
  t.same([...filesOf(directory).keys()], []);

  // 257 has no link by gid, hence removes none.
  plant(planted, OLD, 'g65000.userns');
  t.ok(isRangeFree(registry, 65_000, 1));
  t.equal(registry.byStartGid(65_000), undefined);
  registry.store(parseNamespaceEntry(OLD.replace('4026532104', '4026532106')) as NamespaceEntry);
  t.same(faultsOf(registry, directory), []);
});

t.test('a delegation is read as it was written, by either daemon', async (t) => {
  const text = '{"userns":9,"start":786432,"startGid":786432,"size":65536,"ancestorUserns":[7,8]}';
  t.same(parseDelegation(text), { start: 786_432, startGid: 786_432, size: 65_536, holders: [7, 8, 9] });
  for (const [from, to] of [
    ['"userns":9', '"userns":0'],
    ['"userns":9,', ''],
    ['"size":65536', '"size":0'],
    ['[7,8]', '[0]'],
    ['[7,8]', '7'],
    ['}', ''],
  ] as const) {
    t.equal(parseDelegation(text.replace(from, to)), undefined, `${from} as ${to}`);
  }
});
