import { writeFileSync } from 'node:fs';
import { BpfError, type InstalledUsernsRestrict } from '@sdrx/bpf';
import { type NamespaceEntry, Registry, restrictRegistered } from '@sdrx/daemon';
import { Fd, SystemError } from '@sdrx/linux';
import { NEVER } from 'rxjs';
import t, { type Test } from 'tap';

/** The maps of a kernel, with the steps in which they were changed. */
class Maps implements InstalledUsernsRestrict {
  readonly enforced = true;
  readonly hook = undefined;
  readonly omissions = [];
  readonly reader = new Fd(-1);
  readonly dead = NEVER;
  readonly steps: string[] = [];
  readonly #inodes: Set<number>;

  constructor(
    inodes: readonly number[] = [],
    readonly room = Number.POSITIVE_INFINITY,
    readonly failure?: Error,
  ) {
    this.#inodes = new Set(inodes);
  }

  put(): void {
    throw new Error('nobody has a descriptor');
  }

  putInode(inode: number): void {
    if (this.#inodes.size >= this.room) throw new SystemError(7, 'bpf(MAP_UPDATE_ELEM)');
    this.#inodes.add(inode);
    this.steps.push(`put ${inode}`);
  }

  denySetgroups(inode: number): void {
    this.steps.push(`deny ${inode}`);
  }

  reset(...inodes: readonly number[]): void {
    for (const inode of inodes) this.steps.push(`reset ${inode}`);
    for (const inode of inodes) this.#inodes.delete(inode);
  }

  inodes(): number[] {
    return [...this.#inodes];
  }

  attach(): void {
    this.steps.push('attach');
    if (this.failure !== undefined) throw this.failure;
  }

  [Symbol.dispose](): void {}
}

/** A registry with such entries, each with its inode as its name. */
function registryWith(t: Test, ...entries: readonly (Partial<NamespaceEntry> & { userns: number })[]): Registry {
  const registry = Registry.open(t.testdir());
  t.teardown(() => registry[Symbol.dispose]());
  for (const entry of entries) registry.store({ owner: 0, name: `n${entry.userns}`, cgroups: [], ...entry });
  return registry;
}

/** Takes the log, for its lines. */
function logInto(lines: string[]) {
  const write = (message: string, cause?: unknown) => void lines.push(`${message}: ${cause}`);
  return { notice: write, warning: write };
}

t.test('all that is registered is restricted, and nothing else, before anything is attached', async (t) => {
  const maps = new Maps([5, 6, 7]);
  const lines: string[] = [];
  t.ok(restrictRegistered(maps, registryWith(t, { userns: 6 }, { userns: 8 }), logInto(lines)));
  t.strictSame(maps.steps.slice(0, 2).sort(), ['reset 5', 'reset 7']);
  t.strictSame(maps.steps.slice(2, 4).sort(), ['put 6', 'put 8']);
  t.strictSame(maps.steps.slice(4), ['attach']);
  t.strictSame(lines, []);
});

t.test('setgroups(2) is denied where the entry says so, or has nothing but its own owner', async (t) => {
  const one = (start: number) => ({ start, size: 1, target: 0 });
  const entries = {
    1: { owner: 1000, range: one(1000) },
    2: { owner: 1000, range: one(1001) },
    3: { owner: 1000, range: { start: 1002, size: 2, target: 0 } },
    4: { owner: 1000 },
    5: { owner: 61_184, range: one(61_184) },
    6: { owner: 524_288, range: one(524_288) },
    7: { owner: 61_183, range: one(61_183) },
    8: { owner: 1003, range: one(1003), setgroupsDeny: false },
    9: { owner: 1000, range: one(1004), setgroupsDeny: true },
  };
  const all = Object.entries(entries).map(([inode, entry]) => ({ userns: Number(inode), ...entry }));
  const registry = registryWith(t, ...all);
  // Until the registry writes what it is told of this.
  const known = new Map<number, NamespaceEntry>(
    all.map((entry) => [entry.userns, { name: '', cgroups: [], ...entry }]),
  );
  t.capture(registry, 'byInode', (inode: number) => known.get(inode));
  const maps = new Maps();
  restrictRegistered(maps, registry, logInto([]));
  t.strictSame(
    maps.steps.filter((step) => step.startsWith('deny')),
    ['deny 1', 'deny 7', 'deny 9'],
  );
});

t.test('an entry that can not be read, or is one too many, costs the others nothing', async (t) => {
  const registry = registryWith(t, { userns: 3 }, { userns: 4 }, { userns: 5 });
  writeFileSync(`${registry.directory}/i4.userns`, 'nonsense');
  const lines: string[] = [];
  const maps = new Maps();
  t.ok(restrictRegistered(maps, registry, logInto(lines)));
  t.strictSame(maps.steps.sort(), ['attach', 'put 3', 'put 4', 'put 5']);
  t.match(lines, [/user namespace 4 is not restricted as it should be: .*EBADMSG/]);

  const full = new Maps([], 2);
  const more: string[] = [];
  t.ok(restrictRegistered(full, registry, logInto(more)));
  t.equal(full.steps.at(-1), 'attach');
  t.equal(full.inodes().length, 2);
  t.ok(more.some((line) => line.includes('E2BIG')));
});

t.test('without the programs the interfaces are off, and it is said', async (t) => {
  const failure = new BpfError('ERR_BPF_ATTACH', 'the kernel lacks it');
  const lines: string[] = [];
  t.notOk(restrictRegistered(new Maps([], 9, failure), registryWith(t, { userns: 3 }), logInto(lines)));
  t.match(lines, [/user namespace interfaces disabled: .*the kernel lacks it/]);
});
