import { accessSync, constants, readFileSync, writeFileSync } from 'node:fs';
import { groupRecord, lookup, type NamespaceEntry, Registry, userRecord } from '@sdrx/daemon';
import t, { type Test } from 'tap';
import { probe as large } from './sample-entry.js';

const small = {
  owner: 1000,
  name: '1000-web',
  userns: 4_026_532_002,
  range: { start: 65_472, size: 1, target: 0 },
  cgroups: [],
} satisfies NamespaceEntry;
const rangeless = { owner: 1000, name: '1000-own', userns: 4_026_532_003, cgroups: [] } satisfies NamespaceEntry;

function registryOf(t: Test, ...entries: NamespaceEntry[]): Registry {
  const registry = Registry.open(t.testdir());
  t.teardown(() => registry[Symbol.dispose]());
  for (const entry of entries) registry.store(entry);
  return registry;
}

t.test("a user of a container's range", async (t) => {
  const record = userRecord(large, 7);
  t.same(record, {
    userName: 'ns-probe-7',
    uid: 1_429_471_239,
    gid: 65_534,
    realName: 'User 7 of Allocated Namespace probe',
    homeDirectory: '/',
    shell: record.shell,
    locked: true,
    service: 'io.systemd.NamespaceResource',
    disposition: 'container',
  });
  t.match(record.shell, /nologin$/);
  accessSync(record.shell, constants.X_OK);
});

t.test('the user of a single id', async (t) => {
  const { uid, realName, disposition, userName } = userRecord(small, 0);
  t.same([uid, userName, realName, disposition], [65_472, 'ns-1000-web-0', 'Allocated Namespace 1000-web', 'dynamic']);
});

t.test('groups', async (t) => {
  t.same(groupRecord(large, 65_535), {
    groupName: 'ns-probe-65535',
    gid: 1_429_536_767,
    description: 'Group 65535 of Allocated Namespace probe',
    service: 'io.systemd.NamespaceResource',
    disposition: 'container',
  });
  t.same(groupRecord(small, 0), {
    groupName: 'ns-1000-web-0',
    gid: 65_472,
    description: 'Allocated Namespace 1000-web',
    service: 'io.systemd.NamespaceResource',
    disposition: 'dynamic',
  });
});

t.test('an id, a name, or both find their user', async (t) => {
  const registry = registryOf(t, large, small, rangeless);
  const last = { entry: large, offset: 65_535 };
  t.same(lookup(registry, { id: 1_429_536_767 }), last);
  t.same(lookup(registry, { name: 'ns-probe-65535' }), last);
  t.same(lookup(registry, { id: 1_429_536_767, name: 'ns-probe-65535' }), last);
  t.same(lookup(registry, { id: 65_472 }), { entry: small, offset: 0 });
});

t.test('whoever is not there is not found', async (t) => {
  const registry = registryOf(t, large, small, rangeless);
  for (const id of [0, 1000, 65_471, 65_473, 65_535, 1_429_471_231, 1_429_536_768, 4_294_967_295]) {
    t.equal(lookup(registry, { id }), 'no-record', `${id}`);
  }
  for (const name of ['root', 'ns-', 'ns-nobody-0', 'ns-1000-web-1', 'ns-1000-own-0', 'ns-probe-65536', 'ns-../x-0']) {
    t.equal(lookup(registry, { name }), 'no-record', name);
  }
  t.equal(lookup(registry, {}), 'no-record');
});

t.test('a name and an id that disagree conflict, but only if the name is somebody', async (t) => {
  const registry = registryOf(t, large, small);
  t.equal(lookup(registry, { name: 'ns-probe-1', id: 1_429_471_232 }), 'conflict');
  t.equal(lookup(registry, { name: 'ns-probe-1', id: 65_472 }), 'conflict');
  t.equal(lookup(registry, { name: 'ns-nobody-1', id: 1_429_471_232 }), 'no-record');
});

t.test('where groups have other ids than users, each are found by theirs', async (t) => {
  const split = { ...small, range: { ...small.range, startGid: 65_000 } } satisfies NamespaceEntry;
  const registry = registryOf(t, split);
  const found = { entry: split, offset: 0 };
  t.same(lookup(registry, { id: 65_472 }), found);
  t.equal(lookup(registry, { id: 65_000 }), 'no-record');
  t.same(lookup(registry, { id: 65_000 }, 'group'), found);
  t.equal(lookup(registry, { id: 65_472 }, 'group'), 'no-record');
  t.same(lookup(registry, { id: 65_000, name: 'ns-1000-web-0' }, 'group'), found);
  t.equal(lookup(registry, { id: 65_472, name: 'ns-1000-web-0' }, 'group'), 'conflict');
  t.same([userRecord(split, 0).uid, groupRecord(split, 0).gid], [65_472, 65_000]);
});

t.test('of what was left over there is no record', async (t) => {
  const registry = registryOf(t, small);
  const text = readFileSync(`${registry.directory}/n1000-web.userns`);
  registry.remove(small);
  for (const link of ['n1000-web', 'u65472', 'g65472']) writeFileSync(`${registry.directory}/${link}.userns`, text);
  t.equal(lookup(registry, { id: 65_472 }), 'no-record');
  t.equal(lookup(registry, { id: 65_472 }, 'group'), 'no-record');
  t.equal(lookup(registry, { name: 'ns-1000-web-0' }), 'no-record');
});
