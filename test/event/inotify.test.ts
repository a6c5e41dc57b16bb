import { mkdirSync, openSync, readFileSync, renameSync, rmdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { EventLoop, type InotifyEvent } from '@sdrx/event';
import {
  Fd,
  IN_ATTRIB,
  IN_CREATE,
  IN_DELETE,
  IN_DELETE_SELF,
  IN_IGNORED,
  IN_MODIFY,
  IN_MOVED_FROM,
  IN_MOVED_TO,
  IN_Q_OVERFLOW,
} from '@sdrx/linux';
import { filter, firstValueFrom, lastValueFrom, take, toArray } from 'rxjs';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNoFd } from '../support/open-fds.js';

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
  leavingNoFd(async (t) => {
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
  leavingNoFd(async (t) => {
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
  leavingNoFd(async (t) => {
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
  leavingNoFd(async (t) => {
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
  leavingNoFd(async (t) => {
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
  leavingNoFd(async (t) => {
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
