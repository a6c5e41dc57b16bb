import { mkdirSync, readdirSync } from 'node:fs';
import { BPF_MAP_TYPE_HASH, BpfMap, type BpfObject, openUsernsRestrict, type UsernsRestrict } from '@sdrx/bpf';
import { EventLoop } from '@sdrx/event';
import { namespaceInode } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { until } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';
import { BpfFileSystem } from './bpf-file-system.js';
import { number } from './number.js';
import { loadPackets, needsPrograms, run, WRITE_NOTHING, writeRecord } from './packets.js';

/** What the programs would have pinned, with records by a program that any kernel takes. */
class Installed implements Disposable {
  readonly #files: BpfFileSystem;
  readonly managed: BpfMap;
  readonly setgroupsDeny: BpfMap;
  readonly overflow: BpfMap;
  readonly object: BpfObject;

  constructor() {
    const make = () => BpfMap.create({ type: BPF_MAP_TYPE_HASH, keySize: 4, valueSize: 4, maxEntries: 16384 });
    this.managed = make();
    this.setgroupsDeny = make();
    this.overflow = make();
    this.object = loadPackets();
    // Last: it would stay mounted if anything before failed.
    this.#files = new BpfFileSystem();
    mkdirSync(`${this.directory}/maps`, { recursive: true });
    mkdirSync(`${this.directory}-sdrx/maps`, { recursive: true });
    this.managed.pin(`${this.directory}/maps/userns_managed`);
    this.setgroupsDeny.pin(`${this.directory}/maps/userns_setgroups_deny`);
    this.object.map('records').pin(`${this.directory}/maps/userns_ringbuf`);
    this.overflow.pin(`${this.directory}-sdrx/maps/userns_overflow`);
  }

  get directory(): string {
    return `${this.#files.path}/restrict`;
  }

  /** In which of the maps a namespace is. */
  has(inode: number): string[] {
    const maps = { managed: this.managed, 'setgroups denied': this.setgroupsDeny };
    return Object.entries(maps).flatMap(([name, map]) => (map.get(number(inode)) === undefined ? [] : [name]));
  }

  /** Tells of a death as the program does. */
  report(...inodes: readonly number[]): boolean {
    if (inodes.length === 0) return run(this.object, WRITE_NOTHING) === 0;
    return writeRecord(this.object, Buffer.concat(inodes.map(number)));
  }

  [Symbol.dispose](): void {
    for (const owned of [this.managed, this.setgroupsDeny, this.overflow, this.object, this.#files])
      owned[Symbol.dispose]();
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
  'namespaces are registered, and are forgotten',
  needsPrograms,
  leavingNothing((t) => {
    using installed = new Installed();
    using restrict = openUsernsRestrict(installed);
    t.match(restrict, { enforced: true, hook: undefined });
    using namespace = new UserNamespace();
    using fd = namespace.open();
    const inode = namespaceInode(fd.number);
    t.strictSame(installed.has(inode), []);
    t.strictSame(restrict.inodes(), []);

    restrict.put(fd.number);
    t.strictSame(installed.has(inode), ['managed']);
    restrict.putInode(inode);
    restrict.putInode(7);
    restrict.denySetgroups(inode);
    restrict.denySetgroups(8);
    t.strictSame(installed.has(inode), ['managed', 'setgroups denied']);
    t.strictSame(installed.managed.get(number(inode)), number(1), 'as systemd has it');
    t.strictSame(new Set(restrict.inodes()), new Set([inode, 7, 8]));

    restrict.reset(1, inode, 2);
    t.strictSame(installed.has(inode), []);
    restrict.reset(inode, 7);
    t.strictSame(restrict.inodes(), [8]);
    restrict.reset(8);
    restrict.reset();
    t.strictSame(restrict.inodes(), []);
  }),
);

t.test(
  'as many as the map has room for',
  needsPrograms,
  leavingNothing((t) => {
    using installed = new Installed();
    using restrict = openUsernsRestrict(installed);
    for (let inode = 1; inode <= 16384; inode++) restrict.putInode(inode);
    t.throws(() => restrict.putInode(16385), { code: 'E2BIG' });
    restrict.putInode(16384);
    restrict.reset(1);
    restrict.putInode(16385);
    t.equal(restrict.inodes().length, 16384);
  }),
);

/** A test with the maps, and a loop that runs. */
function withLoop(body: (t: Test, installed: Installed, loop: EventLoop) => Promise<void>): (t: Test) => Promise<void> {
  return leavingNothing(async (t) => {
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
  'so is what an earlier process has put there',
  needsPrograms,
  withLoop(async (t, installed, loop) => {
    installed.overflow.set(number(6), number(6));
    using restrict = openUsernsRestrict({ directory: installed.directory, loop });
    t.strictSame(await told(restrict, 1), [[6]]);
    await until(() => [...installed.overflow.keys()].length === 0);
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
  leavingNothing((t) => {
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
