import { mkdirSync, openSync, readdirSync } from 'node:fs';
import {
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_HASH_OF_MAPS,
  BpfMap,
  type BpfObject,
  openUsernsRestrict,
  type UsernsRestrict,
} from '@sdrx/bpf';
import { EventLoop } from '@sdrx/event';
import { Fd, namespaceInode, statx } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { leavingNoFd } from '../support/open-fds.js';
import { until } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';
import { BpfFileSystem } from './bpf-file-system.js';
import { number } from './number.js';
import { loadPackets, needsPrograms, run, WRITE_NOTHING, writeRecord } from './packets.js';

/** What the programs would have pinned, with records by a program that any kernel takes. */
class Installed implements Disposable {
  readonly #files: BpfFileSystem;
  readonly namespaces: BpfMap;
  readonly overflow: BpfMap;
  readonly object: BpfObject;

  constructor() {
    const entry = { type: BPF_MAP_TYPE_HASH, keySize: 4, valueSize: 4 };
    using inner = BpfMap.create({ ...entry, maxEntries: 4096 });
    this.namespaces = BpfMap.create({ ...entry, type: BPF_MAP_TYPE_HASH_OF_MAPS, maxEntries: 16384, inner });
    this.overflow = BpfMap.create({ ...entry, maxEntries: 16384 });
    this.object = loadPackets();
    // Last: it would stay mounted if anything before failed.
    this.#files = new BpfFileSystem();
    mkdirSync(`${this.directory}/maps`);
    this.namespaces.pin(`${this.directory}/maps/userns_mnt_id_hash`);
    this.overflow.pin(`${this.directory}/maps/userns_overflow`);
    this.object.map('records').pin(`${this.directory}/maps/userns_ringbuf`);
  }

  get directory(): string {
    return this.#files.path;
  }

  /** The mounts on a namespace's list, undefined for one that is not registered. */
  mounts(inode: number): { readonly ids: bigint[]; readonly room: number } | undefined {
    const id = this.namespaces.get(number(inode));
    if (id === undefined) return undefined;
    using list = BpfMap.byId(id.readUInt32LE());
    return { ids: [...list.keys()].map((key) => BigInt(key.readUInt32LE())), room: list.maxEntries };
  }

  /** Tells of a death as the program does. */
  report(...inodes: readonly number[]): boolean {
    if (inodes.length === 0) return run(this.object, WRITE_NOTHING) === 0;
    return writeRecord(this.object, Buffer.concat(inodes.map(number)));
  }

  [Symbol.dispose](): void {
    for (const owned of [this.namespaces, this.overflow, this.object, this.#files]) owned[Symbol.dispose]();
  }
}

/** Listens until `count` inodes were told. @returns them, a list a time */
function told(restrict: UsernsRestrict, count: number): Promise<number[][]> {
  return new Promise((resolve, reject) => {
    const lists: number[][] = [];
    const subscription = restrict.dead.subscribe({
      next: (inodes) => {
        lists.push([...inodes]);
        if (lists.flat().length < count) return;
        resolve(lists);
        // The observer returns first: what it has is to count as read.
        setImmediate(() => subscription.unsubscribe());
      },
      error: reject,
    });
  });
}

t.test(
  'namespaces are registered, get mounts, and are forgotten',
  needsPrograms,
  leavingNoFd((t) => {
    using installed = new Installed();
    using restrict = openUsernsRestrict(installed);
    t.match(restrict, { enforced: true, hook: undefined });
    using namespace = new UserNamespace();
    using fd = namespace.open();
    using mount = new Fd(openSync('/proc', 'r'));
    const inode = namespaceInode(fd.number);
    t.throws(() => restrict.allowMount(fd.number, mount.number), {
      code: 'ENOENT',
      subject: `user namespace ${inode}`,
    });

    restrict.put(fd.number);
    t.match(installed.mounts(inode), { ids: [] });
    restrict.allowMount(fd.number, mount.number);
    restrict.allowMount(fd.number, mount.number);
    t.match(installed.mounts(inode), { ids: [statx(mount.number).mountId] });
    restrict.put(fd.number);
    t.match(installed.mounts(inode), { ids: [] }, 'registered anew, it has none');

    restrict.reset(1, inode, 2);
    t.equal(installed.mounts(inode), undefined);
    restrict.reset(inode);
    restrict.reset();
  }),
);

t.test(
  'the mounts of all namespaces can be forgotten',
  needsPrograms,
  leavingNoFd((t) => {
    using installed = new Installed();
    using restrict = openUsernsRestrict(installed);
    using namespace = new UserNamespace();
    using other = new UserNamespace();
    using fd = namespace.open();
    using otherFd = other.open();
    using mount = new Fd(openSync('/proc', 'r'));
    const inode = namespaceInode(fd.number);
    for (const { number } of [fd, otherFd]) restrict.put(number);
    restrict.allowMount(fd.number, mount.number);
    const list = () => installed.namespaces.get(number(namespaceInode(otherFd.number)));
    const before = list();

    restrict.forgetMounts();
    t.match(installed.mounts(inode), { ids: [] });
    t.strictSame(list(), before, 'one that has none keeps its list');
    restrict.allowMount(fd.number, mount.number);
    t.match(installed.mounts(inode), { ids: [statx(mount.number).mountId] });
  }),
);

t.test(
  'a list grows with its mounts, up to 4096',
  needsPrograms,
  leavingNoFd((t) => {
    using installed = new Installed();
    using restrict = openUsernsRestrict(installed);
    using namespace = new UserNamespace();
    using fd = namespace.open();
    const inode = namespaceInode(fd.number);
    const fill = () => {
      using list = BpfMap.byId(installed.namespaces.get(number(inode))?.readUInt32LE() ?? 0);
      for (let id = [...list.keys()].length; id < list.maxEntries; id++) list.set(number(0x7000_0000 + id), number(1));
    };
    const allow = (path: string) => {
      using mount = new Fd(openSync(path, 'r'));
      restrict.allowMount(fd.number, mount.number);
      return statx(mount.number).mountId ?? 0n;
    };
    restrict.put(fd.number);
    t.equal(installed.mounts(inode)?.room, 16);
    for (const [path, before, room] of [
      ['/proc', 16, 256],
      ['/sys', 256, 4096],
    ] as const) {
      fill();
      const id = allow(path);
      const mounts = installed.mounts(inode);
      t.match(mounts, { room, ids: { length: before + 1 } });
      t.ok(mounts?.ids.includes(id));
    }
    fill();
    allow('/proc');
    t.throws(() => allow('/'), { code: 'E2BIG' });
    t.match(installed.mounts(inode), { room: 4096, ids: { length: 4096 } });
  }),
);

t.test(
  'a list that another daemon made is used as it is',
  needsPrograms,
  leavingNoFd((t) => {
    using installed = new Installed();
    using restrict = openUsernsRestrict(installed);
    using list = BpfMap.create({ type: BPF_MAP_TYPE_HASH, keySize: 4, valueSize: 4, maxEntries: 4096 });
    using namespace = new UserNamespace();
    using fd = namespace.open();
    installed.namespaces.set(number(namespaceInode(fd.number)), number(list.fd));
    using mount = new Fd(openSync('/proc', 'r'));
    restrict.allowMount(fd.number, mount.number);
    t.equal([...list.keys()].length, 1);
  }),
);

/** A test with the maps, and a loop that runs. */
function withLoop(body: (t: Test, installed: Installed, loop: EventLoop) => Promise<void>): (t: Test) => Promise<void> {
  return leavingNoFd(async (t) => {
    using installed = new Installed();
    using loop = new EventLoop();
    const finished = loop.run();
    await body(t, installed, loop);
    loop.exit();
    await finished;
  });
}

t.test(
  'deaths are told, all that are known at a time, each once',
  needsPrograms,
  withLoop(async (t, installed, loop) => {
    using restrict = openUsernsRestrict({ directory: installed.directory, loop });
    installed.report(11);
    installed.report(12, 13);
    installed.report(11);
    installed.report();
    t.strictSame(await told(restrict, 3), [[11, 12, 13]]);
    installed.report(14);
    t.strictSame(await told(restrict, 1), [[14]]);
  }),
);

t.test(
  'a malformed record is reported, and the others are told all the same',
  needsPrograms,
  withLoop(async (t, installed, loop) => {
    using restrict = openUsernsRestrict({ directory: installed.directory, loop });
    installed.report(1);
    writeRecord(installed.object, 'seven b');
    installed.report(2);
    const lists: (readonly number[])[] = [];
    const error = await new Promise((resolve) => {
      restrict.dead.subscribe({ next: (inodes) => lists.push(inodes), error: resolve });
    });
    t.strictSame(lists, [[1, 2]]);
    t.match(error, { code: 'EIO', message: /record of 7 bytes/ });
    installed.report(3);
    t.strictSame(await told(restrict, 1), [[3]], 'who listens again misses nothing, and is not told twice');
  }),
);

t.test(
  'what found no room in the ring buffer is told, too',
  needsPrograms,
  withLoop(async (t, installed, loop) => {
    using restrict = openUsernsRestrict({ directory: installed.directory, loop });
    let inode = 0;
    while (installed.report(++inode));
    for (let more = inode; more <= 1000; more++) installed.overflow.set(number(more), number(more));
    const inodes = (await told(restrict, 1000)).flat();
    t.strictSame(
      inodes.sort((a, b) => a - b),
      Array.from({ length: 1000 }, (_, index) => index + 1),
    );
    await until(() => [...installed.overflow.keys()].length === 0);
  }),
);

t.test(
  'an empty record has one look for what found no room',
  needsPrograms,
  withLoop(async (t, installed, loop) => {
    using restrict = openUsernsRestrict({ directory: installed.directory, loop });
    const first = told(restrict, 1);
    installed.overflow.set(number(5), number(5));
    installed.report();
    t.strictSame(await first, [[5]]);
  }),
);

t.test(
  'a process that ends before it has dealt with a death leaves it to the next one',
  needsPrograms,
  withLoop(async (t, installed, loop) => {
    const first = openUsernsRestrict({ directory: installed.directory, loop });
    installed.report(21);
    await new Promise<void>((resolve) => {
      const subscription = first.dead.subscribe((inodes) => {
        t.strictSame(inodes, [21]);
        // What the next process would find if this one ended here.
        t.equal(installed.object.ringBuffer('records').peek().records.length, 1);
        setImmediate(() => {
          subscription.unsubscribe();
          resolve();
        });
      });
    });
    first[Symbol.dispose]();
    installed.report(22);
    using next = openUsernsRestrict({ directory: installed.directory, loop });
    t.strictSame(await told(next, 1), [[22]]);
  }),
);

t.test(
  'one process at a time is told of deaths',
  needsPrograms,
  withLoop(async (t, installed, loop) => {
    const first = openUsernsRestrict({ directory: installed.directory, loop });
    const second = () => openUsernsRestrict({ directory: installed.directory, loop });
    t.throws(second, { name: 'BpfError', code: 'ERR_BPF_IN_USE' });
    openUsernsRestrict(installed)[Symbol.dispose]();
    first[Symbol.dispose]();
    second()[Symbol.dispose]();
  }),
);

t.test(
  'nobody but the one process with a loop is told',
  needsPrograms,
  leavingNoFd((t) => {
    using installed = new Installed();
    using restrict = openUsernsRestrict(installed);
    let count = 0;
    const subscription = restrict.dead.subscribe(() => count++);
    installed.report(1);
    subscription.unsubscribe();
    t.equal(count, 0);
    t.strictSame(readdirSync(`${installed.directory}/maps`).length, 3);
  }),
);
