import { openSync } from 'node:fs';
import { Fd, namespaceId } from '@sdrx/linux';

/** Options for a test of what only a kernel can tell that numbers its namespaces, as from 6.18 on. */
export const numbersNamespaces = isNumbered() ? {} : { skip: 'this kernel does not number its namespaces' };

function isNumbered(): boolean {
  using fd = new Fd(openSync('/proc/self/ns/user', 'r'));
  return namespaceId(fd.number) !== undefined;
}
