import { mkdirSync } from 'node:fs';
import { BPF_MAP_TYPE_RINGBUF, BpfMap, BpfObject, type UsernsRestrict } from '@sdrx/bpf';
import { EventLoop } from '@sdrx/event';
import { namespaceInode } from '@sdrx/linux';
import { firstValueFrom } from 'rxjs';
import t, { type Test } from 'tap';
import { until } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';
import { install, load, needsMachine, newNamespace, ours, place } from './enforced.js';
import { number } from './number.js';
import { loadPackets, writeRecord } from './packets.js';

// The machine is slow.
t.setTimeout(170_000);

t.test('the death of registered namespaces is told, of a whole chain too', needsMachine, async (t) => {
  using loop = new EventLoop();
  const [restrict] = install(t, loop, place(t));
  const finished = loop.run();
  const stranger = newNamespace(t);
  const parent = newNamespace(t);
  const child = new UserNamespace(['nsenter', `--target=${parent.child.pid}`, '--user'], '--map-root-user');
  const inodes = [parent, child].map((namespace) => {
    using fd = namespace.open();
    restrict.put(fd.number);
    return namespaceInode(fd.number);
  });
  const all: number[] = [];
  const told = new Promise<void>((resolve) => {
    const subscription = restrict.dead.subscribe((some) => {
      all.push(...some);
      if (all.length < 2) return;
      subscription.unsubscribe();
      resolve();
    });
  });
  stranger[Symbol.dispose]();
  parent[Symbol.dispose]();
  child[Symbol.dispose]();
  await told;
  t.strictSame(all.sort(), inodes.sort(), 'and of nobody else');
  restrict.reset(...inodes);
  loop.exit();
  await finished;
});

t.test('who takes over is told of what the one before was not, and of nothing that it was', needsMachine, async (t) => {
  using loop = new EventLoop();
  const directory = place(t);
  const [first] = install(t, loop, directory);
  const finished = loop.run();
  const dieFor = async (restrict: UsernsRestrict) => {
    const { inode, end } = registered(t, restrict);
    const told = firstValueFrom(restrict.dead);
    end();
    t.strictSame(await told, [inode]);
  };
  await dieFor(first);
  t.throws(() => load(t, loop, directory), { code: 'ERR_BPF_IN_USE' });
  // Both have everything open, and nobody reads.
  const [next] = install(t, loop, directory, { reader: first.reader });
  const between = registered(t, next);
  between.end();
  t.strictSame(await firstValueFrom(next.dead), [between.inode]);
  first[Symbol.dispose]();
  t.throws(() => load(t, loop, directory), { code: 'ERR_BPF_IN_USE' }, 'it holds the lock that it was passed');
  await dieFor(next);
  next[Symbol.dispose]();
  load(t, loop, directory);
  loop.exit();
  await finished;
});

/** A namespace that is registered, and how it dies. */
function registered(t: Test, restrict: UsernsRestrict) {
  const namespace = newNamespace(t);
  using fd = namespace.open();
  restrict.put(fd.number);
  return { inode: namespaceInode(fd.number), end: () => namespace[Symbol.dispose]() };
}

for (const [program, map] of [
  ['sdrx_fentry_retire', 'userns_managed'],
  ['sdrx_kprobe_retire', 'userns_managed'],
  ['sdrx_fentry_free', 'userns_managed'],
  ['sdrx_kprobe_free', 'userns_managed'],
  ['sdrx_kprobe_retire', 'userns_setgroups_deny'],
] as const) {
  t.test(`deaths of what is in ${map} are told by ${program}`, needsMachine, async (t) => {
    using object = BpfObject.load(ours, { programs: [program] });
    object.attachAll();
    using ring = object.ringBuffer('userns_ringbuf');
    const namespace = newNamespace(t);
    using fd = namespace.open();
    const inode = number(namespaceInode(fd.number));
    object.map(map).set(inode, number(1));
    fd.close();
    namespace[Symbol.dispose]();
    let told: Buffer[] = [];
    await until(() => {
      told = [...ring.read()].map((record) => Buffer.from(record));
      return told.length > 0;
    });
    t.strictSame(told, [inode]);
  });
}

t.test('deaths that the ring buffer has no room for are told, too', needsMachine, async (t) => {
  using loop = new EventLoop();
  const directory = place(t);
  mkdirSync(`${directory}/maps`, { recursive: true });
  using ring = BpfMap.create({ type: BPF_MAP_TYPE_RINGBUF, keySize: 0, valueSize: 0, maxEntries: 4096 });
  ring.pin(`${directory}/maps/userns_ringbuf`);
  const [restrict] = install(t, loop, directory);
  const namespaces = [newNamespace(t), newNamespace(t), newNamespace(t)];
  const inodes = namespaces.map((namespace) => {
    using fd = namespace.open();
    restrict.put(fd.number);
    return namespaceInode(fd.number);
  });
  using object = loadPackets({ maps: { records: { reuse: ring } } });
  while (writeRecord(object, number(1)));
  for (const namespace of namespaces) namespace[Symbol.dispose]();
  using overflow = BpfMap.openPinned(`${directory}-sdrx/maps/userns_overflow`);
  await until(() => [...overflow.keys()].length === 3);

  const finished = loop.run();
  const all: number[] = [];
  await new Promise<void>((resolve) => {
    const subscription = restrict.dead.subscribe((some) => {
      all.push(...some);
      restrict.reset(...some);
      if (all.length === 4) setImmediate(resolve);
    });
    t.teardown(() => subscription.unsubscribe());
  });
  t.strictSame(all.sort(), [1, ...inodes].sort());
  t.strictSame([...overflow.keys()], []);
  loop.exit();
  await finished;
});
