import { readlinkSync } from 'node:fs';
import { memoryFile, write } from '@sdrx/linux';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { runProgram } from '../support/run-program.js';

t.test(
  'it is empty, carries its name, and goes with its descriptor',
  leavingNothing((t) => {
    using file = memoryFile('ünï');
    t.match(readlinkSync(`/proc/self/fd/${file.number}`), /^\/memfd:ünï/);
    t.equal(runProgram('cat', ['/dev/fd/0'], { fds: [file, null, 2] }).output, '');
  }),
);

t.test(
  'a program that is written to it is run',
  leavingNothing((t) => {
    using file = memoryFile('program');
    write(file.number, Buffer.from('#!/bin/sh\necho "runs with $1"\n'));
    const { output } = runProgram(`/proc/${process.pid}/fd/${file.number}`, ['this']);
    t.equal(output, 'runs with this\n');
  }),
);

t.test('a name that is too long or has a NUL in it throws EINVAL', (t) => {
  t.throws(() => memoryFile('x'.repeat(250)), { code: 'EINVAL', syscall: 'memfd_create' });
  t.throws(() => memoryFile('a\0b'), { code: 'EINVAL', subject: 'a\\0b' });
  t.end();
});
