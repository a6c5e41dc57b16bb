import { readFileSync, writeFileSync } from 'node:fs';
import { readKernelFile } from '@sdrx/linux';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';

t.test(
  'it reads what the kernel writes, however long',
  leavingNothing((t) => {
    for (const path of ['/proc/self/uid_map', '/proc/self/mountinfo', '/proc/kallsyms', '/proc/self/oom_score_adj'])
      t.equal(readKernelFile(path), readFileSync(path, 'latin1'), path);
    using folder = new Folder();
    writeFileSync(folder.join('file'), '');
    t.equal(readKernelFile(folder.join('file')), '', 'nothing');
  }),
);

t.test(
  'what can not be read throws',
  leavingNothing((t) => {
    t.throws(() => readKernelFile('/proc/no-such-file'), { code: 'ENOENT' });
    t.throws(() => readKernelFile('/proc/self'), { code: 'EISDIR', syscall: 'read' });
  }),
);
