import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { PidFile, PidFileError } from '@sdrx/event';
import { spawn } from '@sdrx/linux';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';
import { waitForExit } from '../support/wait-for-exit.js';

/** A test in a folder of its own. */
const inFolder = (body: (t: Test, folder: Folder) => void) =>
  leavingNothing((t) => {
    using folder = new Folder();
    body(t, folder);
  });
type Test = import('tap').Test;

t.test(
  'it appears whole, is for all to read, and goes',
  inFolder((t, folder) => {
    const path = folder.join('pid');
    {
      using file = new PidFile(path);
      t.strictSame(readdirSync(folder.path), [`pid.${process.pid}`]);
      file.claim();
      t.strictSame(readdirSync(folder.path), ['pid']);
      t.equal(readFileSync(path, 'utf8'), `${process.pid}\n`);
      t.equal(statSync(path).mode & 0o777, 0o644);
    }
    t.strictSame(readdirSync(folder.path), []);
    // Nor is one left that was never claimed.
    new PidFile(path)[Symbol.dispose]();
    t.strictSame(readdirSync(folder.path), []);
  }),
);

t.test(
  'a living owner keeps it, by its lock; one that a process has left behind is replaced, whatever is in it',
  inFolder((t, folder) => {
    const path = folder.join('pid');
    {
      using first = new PidFile(path);
      first.claim();
      using second = new PidFile(`${path}`.replace('/pid', '/./pid'));
      t.throws(() => second.claim(), new PidFileError(path.replace('/pid', '/./pid'), String(process.pid)));
      t.equal(readFileSync(path, 'utf8'), `${process.pid}\n`);
    }
    for (const left of ['1\n', '', 'nonsense']) {
      writeFileSync(path, left);
      using file = new PidFile(path);
      file.claim();
      t.equal(readFileSync(path, 'utf8'), `${process.pid}\n`);
    }
    t.strictSame(readdirSync(folder.path), []);
  }),
);

t.test(
  'whoever replaces it has it; the former owner, who leaves it, removes nothing',
  inFolder((t, folder) => {
    const path = folder.join('pid');
    using old = new PidFile(path);
    old.claim();
    using next = new PidFile(path);
    next.replace();
    old.leave();
    old[Symbol.dispose]();
    t.equal(readFileSync(path, 'utf8'), `${process.pid}\n`);
  }),
);

t.test(
  'one that was never put at its path goes, also if its owner leaves it to another process',
  inFolder((t, folder) => {
    const file = new PidFile(folder.join('pid'));
    file.leave();
    t.strictSame(readdirSync(folder.path), []);
  }),
);

t.test(
  'one that was replaced by somebody else is left there',
  inFolder((t, folder) => {
    const path = folder.join('pid');
    const file = new PidFile(path);
    file.claim();
    const other = folder.join('other');
    writeFileSync(other, '7\n');
    waitForExit(spawn('mv', { args: [other, path] }));
    file[Symbol.dispose]();
    t.equal(readFileSync(path, 'utf8'), '7\n');
  }),
);

t.test(
  'what is no file is refused, and stays: a link that leads nowhere, a link to a file, a FIFO, a folder',
  inFolder((t, folder) => {
    const file = folder.join('file');
    writeFileSync(file, 'precious');
    symlinkSync(folder.join('nowhere'), folder.join('dangling'));
    symlinkSync(file, folder.join('link'));
    mkdirSync(folder.join('folder'));
    waitForExit(spawn('mkfifo', { args: [folder.join('fifo')] }));
    const before = readdirSync(folder.path);
    for (const [name, code] of [
      ['dangling', 'ELOOP'],
      ['link', 'ELOOP'],
      ['folder', 'EISDIR'],
    ] as const) {
      using pid = new PidFile(folder.join(name));
      t.throws(() => pid.claim(), { code }, name);
    }
    {
      // A FIFO has no lock that counts: it is replaced as any file that nobody holds.
      using pid = new PidFile(folder.join('fifo'));
      pid.claim();
    }
    t.strictSame(
      readdirSync(folder.path),
      before.filter((name) => name !== 'fifo'),
    );
    t.equal(readFileSync(file, 'utf8'), 'precious');
    t.throws(() => new PidFile(folder.join('missing', 'pid')), { code: 'ENOENT' });
  }),
);

t.test(
  'of many processes that want it at a time one gets it',
  inFolder((t, folder) => {
    const path = folder.join('pid');
    for (let round = 0; round < 20; round++) {
      writeFileSync(path, '1\n');
      const files = Array.from({ length: 5 }, (_, index) => {
        // Each as of another process.
        Object.defineProperty(process, 'pid', { value: 100_000 + index, configurable: true });
        return new PidFile(path);
      });
      const won = files.filter((file, index) => {
        Object.defineProperty(process, 'pid', { value: 100_000 + index, configurable: true });
        try {
          file.claim();
          return true;
        } catch (error) {
          if (!(error instanceof PidFileError)) throw error;
          return false;
        }
      });
      t.equal(won.length, 1);
      files.forEach((file, index) => {
        Object.defineProperty(process, 'pid', { value: 100_000 + index, configurable: true });
        file[Symbol.dispose]();
      });
    }
    t.strictSame(readdirSync(folder.path), []);
  }),
);
