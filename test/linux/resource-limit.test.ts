import { readFileSync } from 'node:fs';
import { descriptorLimit } from '@sdrx/linux';
import t from 'tap';

t.test('the limit of descriptors is what the kernel says it is', (t) => {
  const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'ascii')) ?? [];
  t.equal(descriptorLimit(), Number(soft));
  t.end();
});
