import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { EventLoop, type InotifyEvent } from '@sdrx/event';
import {
  Fd,
  IN_ALL_EVENTS,
  IN_ATTRIB,
  IN_CREATE,
  IN_DELETE,
  IN_DELETE_SELF,
  IN_DONT_FOLLOW,
  IN_EXCL_UNLINK,
  IN_IGNORED,
  IN_ISDIR,
  IN_MASK_ADD,
  IN_MASK_CREATE,
  IN_MODIFY,
  IN_MOVED_FROM,
  IN_MOVED_TO,
  IN_ONESHOT,
  IN_ONLYDIR,
  IN_Q_OVERFLOW,
} from '@sdrx/linux';
import { filter, firstValueFrom, lastValueFrom, type Observable, take, toArray } from 'rxjs';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';
import { until } from '../support/until.js';

/** Runs a loop until what the test waits for has come. */
async function whileRunning<T>(body: (loop: EventLoop) => Promise<T>): Promise<T> {
  const loop = new EventLoop();
  const finished = loop.run();
  try {
    return await body(loop);
  } finally {
    loop.exit();
    await finished;
  }
}

t.test(
  'what happens in a directory is told in order, by name',
  leavingNothing(async (t) => {
    using folder = new Folder();
    const mask = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;
    const events = await whileRunning((loop) => {
      const four = lastValueFrom(loop.inotify(folder.path, { mask }).pipe(take(4), toArray()));
      writeFileSync(folder.join('a'), '');
      renameSync(folder.join('a'), folder.join('ä long name'));
      rmSync(folder.join('ä long name'));
      return four;
    });
    t.strictSame(
      events.map(({ mask, name }) => [mask, name]),
      [
        [IN_CREATE, 'a'],
        [IN_MOVED_FROM, 'a'],
        [IN_MOVED_TO, 'ä long name'],
        [IN_DELETE, 'ä long name'],
      ],
    );
    t.not(events[1]?.cookie, 0, 'a rename has a cookie');
    t.equal(events[1]?.cookie, events[2]?.cookie);
  }),
);

t.test(
  'a descriptor names the file as well as its path does',
  leavingNothing(async (t) => {
    using folder = new Folder();
    writeFileSync(folder.join('file'), '');
    using fd = new Fd(openSync(folder.join('file'), 'r'));
    const event = await whileRunning((loop) => {
      const first = firstValueFrom(loop.inotify(fd.number, { mask: IN_MODIFY }));
      writeFileSync(folder.join('file'), 'changed');
      return first;
    });
    t.strictSame(event, { mask: IN_MODIFY, cookie: 0, name: '' });
  }),
);

t.test(
  'sources of one inode each get what they asked for, and one may leave in its own handler',
  leavingNothing(async (t) => {
    using folder = new Folder();
    const created: string[] = [];
    const deleted: string[] = [];
    await whileRunning(async (loop) => {
      loop
        .inotify(folder.path, { mask: IN_CREATE })
        .pipe(take(1))
        .subscribe(({ name }) => created.push(name));
      const twice = loop.inotify(`${folder.path}/.`, { mask: IN_DELETE }).pipe(take(2));
      const left = new Promise<void>((complete) => {
        twice.subscribe({ next: ({ name }) => deleted.push(name), complete });
      });
      for (const name of ['a', 'b']) writeFileSync(folder.join(name), '');
      for (const name of ['a', 'b']) rmSync(folder.join(name));
      await left;
    });
    t.strictSame(created, ['a']);
    t.strictSame(deleted, ['a', 'b']);
  }),
);

t.test(
  'a source completes when its file is gone for good',
  leavingNothing(async (t) => {
    using folder = new Folder();
    mkdirSync(folder.join('directory'));
    const events = await whileRunning((loop) => {
      const all = lastValueFrom(loop.inotify(folder.join('directory'), { mask: IN_DELETE_SELF }).pipe(toArray()));
      rmdirSync(folder.join('directory'));
      return all;
    });
    t.strictSame(
      events.map(({ mask }) => mask),
      [IN_DELETE_SELF, IN_IGNORED],
    );
  }),
);

t.test(
  'a path that does not exist is an error of the source, and costs no other',
  leavingNothing(async (t) => {
    using folder = new Folder();
    await whileRunning(async (loop) => {
      const first = firstValueFrom(loop.inotify(folder.path, { mask: IN_ATTRIB | IN_CREATE }));
      await t.rejects(firstValueFrom(loop.inotify(folder.join('nothing'))), {
        code: 'ENOENT',
        syscall: 'inotify_add_watch',
        subject: folder.join('nothing'),
      });
      writeFileSync(folder.join('something'), '');
      const { name }: InotifyEvent = await first;
      t.equal(name, 'something');
    });
  }),
);

t.test(
  'an overflow of the queue is told to every source, and nothing stops',
  leavingNothing(async (t) => {
    using folder = new Folder();
    const files = ['a', 'b'].map((name) => folder.join(name));
    for (const file of files) writeFileSync(file, '');
    const limit = Number(readFileSync('/proc/sys/fs/inotify/max_queued_events', 'ascii'));
    await whileRunning(async (loop) => {
      const overflown = files.map((file) =>
        firstValueFrom(loop.inotify(file, { mask: IN_ATTRIB }).pipe(filter(({ mask }) => mask === IN_Q_OVERFLOW))),
      );
      // In turns, since the kernel merges an event with an equal one before it.
      for (let count = 0; count <= limit / 2; count++) for (const file of files) utimesSync(file, count, count);
      await Promise.all(overflown);
      const after = firstValueFrom(loop.inotify(folder.path, { mask: IN_CREATE }));
      writeFileSync(folder.join('c'), '');
      t.equal((await after).name, 'c');
    });
  }),
);

/** What a source has told, and `end` when it completed. */
function record(source: Observable<InotifyEvent>): string[] {
  const told: string[] = [];
  source.subscribe({ next: ({ name }) => told.push(name), complete: () => told.push('end') });
  return told;
}

t.test(
  'IN_ONESHOT ends its own source after one event, and no other of the file',
  leavingNothing(async (t) => {
    using folder = new Folder();
    await whileRunning(async (loop) => {
      const first = record(loop.inotify(folder.path, { mask: IN_CREATE }));
      const once = record(loop.inotify(folder.path, { mask: IN_CREATE | IN_ONESHOT }));
      const later = record(loop.inotify(folder.path, { mask: IN_CREATE }));
      const other = record(loop.inotify(folder.path, { mask: IN_DELETE | IN_ONESHOT }));
      for (const name of ['a', 'b', 'c']) writeFileSync(folder.join(name), '');
      await until(() => first.length === 3 && later.length === 3);
      t.strictSame([first, once, later, other], [['a', 'b', 'c'], ['a', 'end'], ['a', 'b', 'c'], []]);
      rmSync(folder.join('b'));
      await until(() => other.length === 2);
      t.strictSame(other, ['b', 'end']);
    });
  }),
);

t.test(
  'IN_EXCL_UNLINK is for its own source only, whichever came first',
  leavingNothing(async (t) => {
    using folder = new Folder();
    await whileRunning(async (loop) => {
      const before = record(loop.inotify(folder.path, { mask: IN_MODIFY }));
      const exclusive = record(loop.inotify(folder.path, { mask: IN_MODIFY | IN_CREATE | IN_EXCL_UNLINK }));
      const after = record(loop.inotify(folder.path, { mask: IN_MODIFY }));
      using file = new Fd(openSync(folder.join('removed'), 'w'));
      rmSync(folder.join('removed'));
      writeSync(file.number, 'x');
      await until(() => before.length === 1 && after.length === 1);
      closeSync(openSync(folder.join('end'), 'w'));
      await until(() => exclusive.includes('end'));
      t.strictSame([before, exclusive, after], [['removed'], ['removed', 'end'], ['removed']]);
    });
  }),
);

t.test(
  'IN_MASK_CREATE fails where another source has the file, EEXIST, and else is as without',
  leavingNothing(async (t) => {
    using folder = new Folder();
    await whileRunning(async (loop) => {
      const mask = IN_CREATE | IN_MASK_CREATE;
      const first = record(loop.inotify(folder.path, { mask }));
      await t.rejects(firstValueFrom(loop.inotify(folder.path, { mask })), { code: 'EEXIST' });
      const second = record(loop.inotify(folder.path, { mask: IN_DELETE }));
      writeFileSync(folder.join('a'), '');
      rmSync(folder.join('a'));
      await until(() => first.length === 1 && second.length === 1);
      t.strictSame([first, second], [['a'], ['a']]);
    });
  }),
);

t.test(
  'IN_ONLYDIR and IN_DONT_FOLLOW are for the look-up of their own path',
  leavingNothing(async (t) => {
    using folder = new Folder();
    writeFileSync(folder.join('file'), '');
    symlinkSync('file', folder.join('link'));
    await whileRunning(async (loop) => {
      const onlyDirectory = { mask: IN_ALL_EVENTS | IN_ONLYDIR };
      await t.rejects(firstValueFrom(loop.inotify(folder.join('file'), onlyDirectory)), { code: 'ENOTDIR' });
      const target = record(loop.inotify(folder.join('link'), { mask: IN_ATTRIB }));
      const link = record(loop.inotify(folder.join('link'), { mask: IN_DELETE_SELF | IN_DONT_FOLLOW }));
      using fd = new Fd(openSync(folder.join('file'), 'r'));
      const byFd = record(loop.inotify(fd, { mask: IN_ATTRIB | IN_DONT_FOLLOW }));
      utimesSync(folder.join('file'), 1, 1);
      await until(() => target.length === 1 && byFd.length === 1);
      rmSync(folder.join('link'));
      await until(() => link.includes('end'));
      t.strictSame([target, link, byFd], [[''], ['', '', 'end'], ['']]);
    });
  }),
);

t.test(
  'what is told only to those who ask for it is not told by a flag that all events of a kind have',
  leavingNothing(async (t) => {
    using folder = new Folder();
    await whileRunning(async (loop) => {
      const created = record(loop.inotify(folder.path, { mask: IN_CREATE | IN_ISDIR }));
      const deleted = record(loop.inotify(folder.path, { mask: IN_DELETE }));
      mkdirSync(folder.join('a'));
      rmdirSync(folder.join('a'));
      mkdirSync(folder.join('b'));
      await until(() => created.includes('b'));
      t.strictSame([created, deleted], [['a', 'b'], ['a']]);
    });
  }),
);

t.test(
  'of a name that is not UTF-8 there are the bytes, and such a path can be watched',
  leavingNothing(async (t) => {
    using folder = new Folder();
    const join = (...bytes: number[]) => Buffer.concat([Buffer.from(`${folder.path}/`), Buffer.from(bytes)]);
    await whileRunning(async (loop) => {
      const all = lastValueFrom(loop.inotify(folder.path, { mask: IN_CREATE }).pipe(take(4), toArray()));
      mkdirSync(join(0x61, 0xff, 0xfe));
      writeFileSync(join(0xc3), '');
      writeFileSync(folder.join('\uFFFD'), '');
      writeFileSync(folder.join('ä'), '');
      const mask = IN_CREATE;
      t.strictSame(await all, [
        { mask: IN_CREATE | IN_ISDIR, cookie: 0, name: 'a\uFFFD\uFFFD', nameBytes: Buffer.from([0x61, 0xff, 0xfe]) },
        { mask, cookie: 0, name: '\uFFFD', nameBytes: Buffer.from([0xc3]) },
        { mask, cookie: 0, name: '\uFFFD' },
        { mask, cookie: 0, name: 'ä' },
      ]);
      const inside = firstValueFrom(loop.inotify(join(0x61, 0xff, 0xfe)));
      writeFileSync(join(0x61, 0xff, 0xfe, 0x2f, 0x62), '');
      t.equal((await inside).name, 'b');
    });
  }),
);

t.test(
  'a descriptor that is not open is EBADF, a path with a NUL EINVAL',
  leavingNothing(async (t) => {
    using folder = new Folder();
    const closed = new Fd(openSync(folder.path, 'r'));
    closed.close();
    await whileRunning(async (loop) => {
      for (const which of [-1, 99_999, closed]) {
        await t.rejects(firstValueFrom(loop.inotify(which)), { name: 'SystemError', code: 'EBADF' });
      }
      for (const which of [`${folder.path}\0/nothing`, Buffer.from(`${folder.path}\0`)]) {
        await t.rejects(firstValueFrom(loop.inotify(which)), { name: 'SystemError', code: 'EINVAL' });
      }
    });
  }),
);

t.test('a mask that asks for nothing, or that is none, is refused at once', (t) => {
  using loop = new EventLoop();
  for (const mask of [0, IN_ONESHOT, IN_ONLYDIR, IN_CREATE | IN_MASK_ADD, Number.NaN, 0.5, 2 ** 32, -(2 ** 31) - 1]) {
    t.throws(() => loop.inotify('/', { mask }), { name: 'RangeError', message: /mask/ });
  }
  t.doesNotThrow(() => loop.inotify('/', { mask: (IN_CREATE | IN_ONESHOT) >>> 0 }));
  t.doesNotThrow(() => loop.inotify('/', { mask: IN_CREATE | IN_ONESHOT }));
  t.end();
});
