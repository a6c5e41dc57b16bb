import { openSync, readFileSync, writeFileSync } from 'node:fs';
import { Fd, MemoryMapping, memoryFile, PAGE_SIZE, PROT_READ, PROT_WRITE } from '@sdrx/linux';
import t from 'tap';
import { errorCode } from '../support/error-code.js';
import { leavingNothing } from '../support/nothing-left.js';

const READ_WRITE = PROT_READ | PROT_WRITE;

t.test(
  'what is written by one mapping of a file is read by another, and by who reads the file',
  leavingNothing(async (t) => {
    using file = memoryFile('mapped');
    writeFileSync(file.number, Buffer.alloc(2 * PAGE_SIZE));
    using whole = new MemoryMapping(file.number, 0, 2 * PAGE_SIZE, READ_WRITE, 'file');
    using part = new MemoryMapping(file.number, PAGE_SIZE, PAGE_SIZE, PROT_READ, 'file');
    new Int32Array(whole.bytes)[PAGE_SIZE / 4] = 4711;
    t.equal(new Int32Array(part.bytes)[0], 4711);
    t.equal(readFileSync(`/proc/self/fd/${file.number}`).readInt32LE(PAGE_SIZE), 4711);
  }),
);

t.test('a view that outlives its mapping is filled with zeros, and changes the file no more', async (t) => {
  using file = memoryFile('mapped');
  writeFileSync(file.number, Buffer.alloc(PAGE_SIZE, 1));
  const mapping = new MemoryMapping(file.number, 0, PAGE_SIZE, READ_WRITE, 'file');
  const view = new Uint8Array(mapping.bytes);
  t.equal(view[0], 1);
  mapping[Symbol.dispose]();
  mapping[Symbol.dispose]();
  t.equal(view[0], 0);
  view[0] = 2;
  t.equal(readFileSync(`/proc/self/fd/${file.number}`)[0], 1);
});

t.test('what can not be mapped is an error that names it', async (t) => {
  using readOnly = new Fd(openSync('/etc/passwd', 'r'));
  const map = (fd: number, offset = 0, size = PAGE_SIZE) =>
    errorCode(() => new MemoryMapping(fd, offset, size, READ_WRITE, 'thing'));
  t.equal(map(readOnly.number), 'EACCES');
  t.equal(map(-1), 'EBADF');
  t.equal(map(readOnly.number, 7), 'EINVAL');
  t.equal(map(readOnly.number, 0, 0), 'EINVAL');
  t.throws(() => new MemoryMapping(-1, 0, PAGE_SIZE, READ_WRITE, 'thing'), {
    message: "EBADF: bad file descriptor, mmap 'thing'",
  });
});
