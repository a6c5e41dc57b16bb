import { readFileSync, writeFileSync } from 'node:fs';
import { readKernelFile } from '@sdrx/linux';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';

/** What a file says by both ways, read when nothing changed it: programs of BPF and mounts come and go. */
function both(path: string): [read: string, expected: string] {
  for (;;) {
    const expected = readFileSync(path, 'latin1');
    const read = readKernelFile(path);
    if (readFileSync(path, 'latin1') === expected) return [read, expected];
  }
}

t.test(
  'it reads what the kernel writes, however long',
  leavingNothing((t) => {
    for (const path of ['/proc/self/uid_map', '/proc/self/mountinfo', '/proc/kallsyms', '/proc/self/oom_score_adj']) {
      const [read, expected] = both(path);
      t.equal(read, expected, path);
    }
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
