import { EOPNOTSUPP, SystemError } from '@sdrx/linux';
import type { UsernsRestrict } from './userns-restrict.js';

/**
 * Loads the userns-restrict program into the kernel and attaches it.
 *
 * This release has no program to load: it throws EOPNOTSUPP, and a daemon goes on without its user namespace interfaces,
 * as it does on a kernel that refuses the program.
 */
export function installUsernsRestrict(): UsernsRestrict {
  throw new SystemError(EOPNOTSUPP, 'userns-restrict', 'this release of @sdrx/bpf has no BPF program');
}
