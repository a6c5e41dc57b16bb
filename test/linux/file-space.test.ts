import { fstatSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { Fd, reserveSpace } from '@sdrx/linux';
import t from 'tap';
import { errorCode } from '../support/error-code.js';
import { Folder } from '../support/folder.js';
import { needsRoot } from '../support/privileges.js';
import { runProgram } from '../support/run-program.js';

t.test('a file grows to hold what is reserved, and keeps what it has', async (t) => {
  using folder = new Folder();
  writeFileSync(folder.join('file'), 'kept');
  using file = new Fd(openSync(folder.join('file'), 'r+'));
  reserveSpace(file.number, 8192, 4096);
  const { size, blocks } = fstatSync(file.number);
  t.equal(size, 12_288);
  t.ok(blocks * 512 >= 4096);
  t.equal(readFileSync(folder.join('file'), 'latin1').slice(0, 5), 'kept\0');
});

t.test('where there is no space it fails, before anything is written', needsRoot, async (t) => {
  using folder = new Folder();
  t.match(runProgram('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder.path]).exit, { status: 0 });
  try {
    using file = new Fd(openSync(folder.join('file'), 'w'));
    reserveSpace(file.number, 0, 32_768);
    t.equal(
      errorCode(() => reserveSpace(file.number, 32_768, 65_536)),
      'ENOSPC',
    );
  } finally {
    runProgram('umount', ['--lazy', folder.path]);
  }
});

t.test('what is no file to be written is an error', async (t) => {
  using file = new Fd(openSync('/etc/passwd', 'r'));
  t.equal(
    errorCode(() => reserveSpace(file.number, 0, 1)),
    'EBADF',
  );
  t.equal(
    errorCode(() => reserveSpace(-1, 0, 1)),
    'EBADF',
  );
  t.equal(
    errorCode(() => reserveSpace(file.number, 0, 0)),
    'EINVAL',
  );
});
