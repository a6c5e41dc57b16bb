import { mkdirSync } from 'node:fs';
import { BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_RINGBUF, BpfMap, BpfObject } from '@sdrx/bpf';
import { EventLoop } from '@sdrx/event';
import { namespaceInode } from '@sdrx/linux';
import t from 'tap';
import { programPath } from '../support/program-path.js';
import { until } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';
import { install, needsMachine, newNamespace, place } from './enforced.js';
import { number } from './number.js';

// The machine is slow.
t.setTimeout(170_000);

const ours = programPath('../../../packages/bpf/dist/userns-restrict.bpf.o', import.meta.url);

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

for (const program of ['sdrx_fentry_retire', 'sdrx_kprobe_retire', 'sdrx_fentry_free', 'sdrx_kprobe_free']) {
  t.test(`deaths are told by ${program}`, needsMachine, async (t) => {
    using object = BpfObject.load(ours, { programs: [program] });
    object.attachAll();
    using ring = object.ringBuffer('userns_ringbuf');
    using list = BpfMap.create({ type: BPF_MAP_TYPE_HASH, keySize: 4, valueSize: 4, maxEntries: 1 });
    const namespace = newNamespace(t);
    using fd = namespace.open();
    const inode = number(namespaceInode(fd.number));
    object.map('userns_mnt_id_hash').set(inode, number(list.fd));
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

t.test('more deaths than the ring buffer has room for are all told', needsMachine, async (t) => {
  using loop = new EventLoop();
  const directory = place(t);
  mkdirSync(`${directory}/maps`, { recursive: true });
  {
    // Room for 256.
    using ring = BpfMap.create({ type: BPF_MAP_TYPE_RINGBUF, keySize: 0, valueSize: 0, maxEntries: 4096 });
    ring.pin(`${directory}/maps/userns_ringbuf`);
  }
  const [restrict] = install(t, loop, directory);
  const namespaces = Array.from({ length: 270 }, () => newNamespace(t));
  const inodes = namespaces.map((namespace) => {
    using fd = namespace.open();
    restrict.put(fd.number);
    return namespaceInode(fd.number);
  });
  for (const namespace of namespaces) namespace[Symbol.dispose]();
  const finished = loop.run();
  const left = new Set(inodes);
  await new Promise<void>((resolve) => {
    const subscription = restrict.dead.subscribe((some) => {
      for (const inode of some) left.delete(inode);
      restrict.reset(...some);
      if (left.size > 0) return;
      subscription.unsubscribe();
      resolve();
    });
  });
  t.equal(left.size, 0);
  loop.exit();
  await finished;
});
