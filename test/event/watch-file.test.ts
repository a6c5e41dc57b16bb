import {
  chmodSync,
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { EventLoop, type WatchFileOptions, watchFile } from '@sdrx/event';
import type { Subscription } from 'rxjs';
import t, { type Test } from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNothing, openFds } from '../support/nothing-left.js';
import { until } from '../support/until.js';
import { onLoop } from './on-loop.js';

/** Counts what comes from `watchFile`. */
class Watched implements Disposable {
  count = 0;
  completed = false;
  error: unknown;
  readonly #subscription: Subscription;

  constructor(loop: EventLoop, path: string, options?: WatchFileOptions) {
    this.#subscription = watchFile(loop, path, options).subscribe({
      next: () => this.count++,
      complete: () => {
        this.completed = true;
      },
      error: (error) => {
        this.error = error;
      },
    });
  }

  /** Waits until the change is told. */
  async tells(change: () => void): Promise<void> {
    await this.quiet();
    const before = this.count;
    change();
    await until(() => this.count > before);
  }

  /** Waits until nothing comes any more of what was done before. */
  async quiet(): Promise<void> {
    for (let before = -1; before !== this.count; ) {
      before = this.count;
      // Several turns of the loop, each of which would have told what is there.
      for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    }
  }

  [Symbol.dispose](): void {
    this.#subscription.unsubscribe();
  }
}

/** A test in a folder of its own, each change told by itself. */
function inFolder(body: (t: Test, loop: EventLoop, folder: Folder) => Promise<void>): (t: Test) => Promise<void> {
  return onLoop(async (t, loop) => {
    using folder = new Folder();
    await body(t, loop, folder);
  });
}

const each = { settle: 0 };

t.test(
  'a file that is written in place, replaced, removed, made again and made readable is told of, each time again',
  inFolder(async (_, loop, folder) => {
    const path = folder.join('file');
    writeFileSync(path, '');
    using watched = new Watched(loop, path, each);
    for (let round = 0; round < 3; round++) {
      await watched.tells(() => writeFileSync(path, 'in place'));
      await watched.tells(() => {
        writeFileSync(folder.join('new'), 'replaced');
        renameSync(folder.join('new'), path);
      });
      await watched.tells(() => writeFileSync(path, 'in place, the new one'));
      await watched.tells(() => unlinkSync(path));
      await watched.tells(() => writeFileSync(path, 'made again'));
      await watched.tells(() => chmodSync(path, 0o640));
      await watched.tells(() => renameSync(path, folder.join('away')));
      await watched.tells(() => linkSync(folder.join('away'), path));
      await watched.tells(() => writeFileSync(folder.join('away'), 'by its other name'));
    }
  }),
);

t.test(
  'what happens to other files is not told',
  inFolder(async (t, loop, folder) => {
    const path = folder.join('file');
    writeFileSync(path, '');
    using watched = new Watched(loop, path, each);
    for (const other of ['fil', 'file2', 'other']) {
      writeFileSync(folder.join(other), '');
      chmodSync(folder.join(other), 0o600);
      renameSync(folder.join(other), folder.join('other2'));
      rmSync(folder.join('other2'));
    }
    closeSync(openSync(path, 'r'));
    // It would be told before this.
    await watched.tells(() => chmodSync(path, 0o600));
    await watched.quiet();
    t.equal(watched.count, 1);
  }),
);

t.test(
  'folders on the way may be made later, removed and replaced',
  inFolder(async (_, loop, folder) => {
    const path = folder.join('a', 'b', 'file');
    using watched = new Watched(loop, path, each);
    for (let round = 0; round < 2; round++) {
      await watched.tells(() => mkdirSync(folder.join('a')));
      await watched.tells(() => mkdirSync(folder.join('a', 'b')));
      await watched.tells(() => writeFileSync(path, ''));
      await watched.tells(() => writeFileSync(path, 'again'));
      await watched.tells(() => rmSync(folder.join('a'), { recursive: true }));
      // All at once: nobody watched `b` when the file was made.
      await watched.tells(() => {
        mkdirSync(folder.join('a', 'b'), { recursive: true });
        writeFileSync(path, '');
      });
      await watched.tells(() => writeFileSync(path, 'again'));
      mkdirSync(folder.join('c', 'b'), { recursive: true });
      writeFileSync(folder.join('c', 'b', 'file'), '');
      await watched.tells(() => {
        renameSync(folder.join('a'), folder.join('former'));
        renameSync(folder.join('c'), folder.join('a'));
      });
      await watched.tells(() => writeFileSync(path, 'in the new folder'));
      rmSync(folder.join('former'), { recursive: true });
      await watched.tells(() => rmSync(folder.join('a'), { recursive: true }));
    }
  }),
);

t.test(
  'symbolic links are followed, also those on the way, and may lead elsewhere later',
  inFolder(async (t, loop, folder) => {
    // As Kubernetes has it: the file leads to `..data/file`, `..data` to the present folder.
    const point = (target: string) => {
      symlinkSync(target, folder.join('..data_tmp'));
      renameSync(folder.join('..data_tmp'), folder.join('..data'));
    };
    for (const version of ['1', '2']) {
      mkdirSync(folder.join(version));
      writeFileSync(folder.join(version, 'file'), version);
    }
    symlinkSync('..data/file', folder.join('file'));
    point('1');
    using watched = new Watched(loop, folder.join('file'), each);
    await watched.tells(() => writeFileSync(folder.join('1', 'file'), 'in place'));
    await watched.tells(() => point('2'));
    await watched.tells(() => writeFileSync(folder.join('2', 'file'), 'in place'));
    await watched.quiet();
    const { count } = watched;
    writeFileSync(folder.join('1', 'file'), 'nobody is led there any more');
    rmSync(folder.join('1'), { recursive: true });
    await watched.tells(() => point(folder.join('3')));
    t.equal(watched.count, count + 1);
    await watched.tells(() => mkdirSync(folder.join('3')));
    await watched.tells(() => writeFileSync(folder.join('3', 'file'), ''));
    // A loop of links, and out of it again.
    await watched.tells(() => point('..data'));
    await watched.tells(() => point('2/../2/./'));
    await watched.tells(() => writeFileSync(folder.join('2', 'file'), ''));
    await watched.tells(() => unlinkSync(folder.join('file')));
    await watched.tells(() => writeFileSync(folder.join('file'), 'no link any more'));
  }),
);

t.test(
  'of a folder it is told what is in it',
  inFolder(async (_, loop, folder) => {
    const path = folder.join('conf.d');
    using watched = new Watched(loop, `${path}/`, each);
    await watched.tells(() => mkdirSync(path));
    await watched.tells(() => writeFileSync(folder.join('conf.d', '10.conf'), ''));
    await watched.tells(() => writeFileSync(folder.join('conf.d', '10.conf'), 'in place'));
    await watched.tells(() => renameSync(folder.join('conf.d', '10.conf'), folder.join('conf.d', '20.conf')));
    await watched.tells(() => unlinkSync(folder.join('conf.d', '20.conf')));
    await watched.tells(() => rmSync(path, { recursive: true }));
    await watched.tells(() => mkdirSync(path));
  }),
);

t.test(
  'several changes that follow each other are told of once, when it is quiet',
  inFolder(async (t, loop, folder) => {
    const path = folder.join('file');
    using raw = new Watched(loop, path, each);
    using watched = new Watched(loop, path, { settle: 1000 });
    for (let count = 0; count < 5; count++) await raw.tells(() => writeFileSync(path, `${count}`));
    await until(() => watched.count > 0);
    t.ok(watched.count < raw.count, `${watched.count} of ${raw.count}`);
  }),
);

t.test(
  'who unsubscribes leaves nothing behind while the loop goes on, after changes too',
  inFolder(async (t, loop, folder) => {
    const path = folder.join('a', 'file');
    const before = openFds();
    const watched = new Watched(loop, path, each);
    await watched.tells(() => mkdirSync(folder.join('a')));
    await watched.tells(() => writeFileSync(path, ''));
    watched[Symbol.dispose]();
    t.strictSame(openFds(), before);
  }),
);

t.test(
  'if asked it comes at once, and what happens from then on is not missed',
  inFolder(async (t, loop, folder) => {
    let count = 0;
    const path = folder.join('file');
    const subscription = watchFile(loop, path, { immediately: true, settle: 0 }).subscribe(() => {
      if (count++ === 0) writeFileSync(path, 'while it is read for the first time');
    });
    t.equal(count, 1);
    await until(() => count > 1);
    subscription.unsubscribe();
  }),
);

t.test(
  'a relative path is looked up from where the process is',
  inFolder(async (_, loop, folder) => {
    const before = process.cwd();
    process.chdir(folder.path);
    using watched = new Watched(loop, 'a/../file', each);
    process.chdir(before);
    await watched.tells(() => mkdirSync(folder.join('a')));
    await watched.tells(() => writeFileSync(folder.join('file'), ''));
  }),
);

t.test(
  'it completes with the loop',
  leavingNothing(async (t) => {
    using folder = new Folder();
    using loop = new EventLoop();
    const finished = loop.run();
    using there = new Watched(loop, folder.path);
    using missing = new Watched(loop, folder.join('missing', 'file'), each);
    loop.exit();
    await finished;
    t.ok(there.completed && missing.completed);
    using late = new Watched(loop, folder.path);
    t.match(late.error, { code: 'ESTALE' });
  }),
);

t.test('a path that can be none is refused at once', (t) => {
  using loop = new EventLoop();
  for (const path of ['', 'a\0b']) t.throws(() => watchFile(loop, path), { code: 'EINVAL', syscall: 'watchFile' });
  t.end();
});

const needsUser = process.getuid?.() === 0 ? {} : { skip: 'needs root, to be somebody else' };

t.test(
  'a folder that may not be read is passed over on the way, and an error if the file is in it',
  needsUser,
  inFolder(async (t, loop, folder) => {
    chmodSync(folder.path, 0o711);
    const path = folder.join('open', 'file');
    mkdirSync(folder.join('open'));
    mkdirSync(folder.join('shut'), { mode: 0o711 });
    writeFileSync(path, '');
    process.seteuid?.(65_534);
    using watched = new Watched(loop, path, each);
    using refused = new Watched(loop, folder.join('shut', 'file'), each);
    process.seteuid?.(0);
    t.equal(watched.error, undefined);
    t.match(refused.error, { code: 'EACCES' });
    await watched.tells(() => writeFileSync(path, ''));
  }),
);
