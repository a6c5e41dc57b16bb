import { linkSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { formatNamespaceEntry, type NamespaceEntry, Registry } from '@sdrx/daemon';
import t, { type Test } from 'tap';
import { until } from '../support/until.js';
import { onCalls } from './fs-fault.js';
import { runtimeFolder } from './runtime-folder.js';
import { probe } from './sample-entry.js';

const other = { ...probe, owner: 7, userns: 4_026_532_002 } satisfies NamespaceEntry;

/** The ways to an entry that go by a link. */
const WAYS: readonly [name: string, link: string, find: (registry: Registry) => NamespaceEntry | undefined][] = [
  ['name', 'nprobe.userns', (registry) => registry.byName('probe')],
  ['first uid', 'u1429471232.userns', (registry) => registry.byStart(1_429_471_232)],
  ['first gid', 'g1429471232.userns', (registry) => registry.byStartGid(1_429_471_232)],
];

/** What may become of an entry's files, by us, by systemd or by hand, and what is found then. */
const CHANGES: Readonly<Record<string, (files: Files) => NamespaceEntry | 'EBADMSG' | undefined>> = {
  'the entry is written anew': ({ registry }) => {
    registry.update({ ...probe, cgroups: [5n] });
    return { ...probe, cgroups: [5n] };
  },
  'the entry is written anew by a process that is killed before it has changed the links': ({ entry }) => {
    writeFileSync(`${entry}.new`, formatNamespaceEntry({ ...probe, cgroups: [5n] }));
    renameSync(`${entry}.new`, entry);
    return { ...probe, cgroups: [5n] };
  },
  'the entry is removed': ({ registry }) => {
    registry.remove(probe);
    return undefined;
  },
  'the entry is removed by a process that is killed before it has removed the links': ({ entry }) => {
    unlinkSync(entry);
    return undefined;
  },
  'the entry is removed and another one has its name and its ids': ({ registry }) => {
    registry.remove(probe);
    registry.store(other);
    return other;
  },
  'the file is written in its place': ({ entry }) => {
    writeFileSync(entry, formatNamespaceEntry({ ...probe, owner: 9 }));
    return { ...probe, owner: 9 };
  },
  'the file is written in its place, as long as before': ({ entry }) => {
    const text = readFileSync(entry, 'utf8');
    writeFileSync(entry, text.replace('"owner":0', '"owner":9'));
    return { ...probe, owner: 9 };
  },
  'the file is spoilt': ({ entry }) => {
    writeFileSync(entry, '{"owner":0');
    return 'EBADMSG';
  },
  'the link is removed': ({ link }) => {
    unlinkSync(link);
    return undefined;
  },
  'the link is another file': ({ link }) => {
    writeFileSync(`${link}.new`, '{}');
    renameSync(`${link}.new`, link);
    return 'EBADMSG';
  },
  'the link goes and comes back': ({ link, entry }) => {
    unlinkSync(link);
    linkSync(entry, link);
    return probe;
  },
};

interface Files {
  readonly registry: Registry;
  readonly entry: string;
  readonly link: string;
}

function open(t: Test, link: string): Files {
  const runtime = runtimeFolder(t);
  const registry = Registry.open(runtime);
  t.teardown(() => registry[Symbol.dispose]());
  const directory = `${runtime}/nsresource/registry`;
  return { registry, entry: `${directory}/i${probe.userns}.userns`, link: `${directory}/${link}` };
}

/** How often files are opened meanwhile. */
function opened(work: () => unknown): number {
  let count = 0;
  const end = onCalls('all', (_index, name, original) => {
    if (name === 'openSync') count++;
    return original();
  });
  try {
    work();
  } finally {
    end();
  }
  return count;
}

for (const [way, link, find] of WAYS) {
  t.test(`by ${way}, an entry is not read again until something has changed`, async (t) => {
    const { registry } = open(t, link);
    registry.store(probe);
    t.ok(opened(() => find(registry)) > 0, 'what has only just been written may be written again in the same tick');
    await until(() => opened(() => find(registry)) === 0);
    t.same(find(registry), probe);
  });

  for (const [change, make] of Object.entries(CHANGES)) {
    t.test(`by ${way}, what is true is found at once when ${change}`, async (t) => {
      const files = open(t, link);
      files.registry.store(probe);
      await until(() => opened(() => find(files.registry)) === 0);
      const expected = make(files);
      for (const time of ['at once', 'again']) {
        if (expected === 'EBADMSG') t.throws(() => find(files.registry), { code: 'EBADMSG' }, time);
        else t.same(find(files.registry), expected, time);
      }
    });
  }
}

t.test('a file that is written over and over in one tick is never found as it was', (t) => {
  const { registry, entry } = open(t, 'nprobe.userns');
  registry.store(probe);
  const text = readFileSync(entry, 'utf8');
  const owners = Array.from({ length: 2000 }, (_, index) => index % 10);
  const stale = owners.filter((owner) => {
    writeFileSync(entry, text.replace('"owner":0', `"owner":${owner}`));
    return registry.byName('probe')?.owner !== owner;
  });
  t.same(stale, []);
  t.end();
});
