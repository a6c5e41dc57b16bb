import type { EventLoop } from '@sdrx/event';
import { checkMethods, checkObject, checkText } from '@sdrx/linux';
import { PinnedRestrict } from './pinned-restrict.js';
import { DIRECTORY, usedPlace } from './restrict-maps.js';
import type { UsernsRestrict } from './userns-restrict.js';

/** Which userns-restrict to open. */
export interface OpenOptions {
  /** Where in a BPF file system it is pinned; systemd's place by default. */
  readonly directory?: string;
  /** For the one process that is to be told of dead namespaces. */
  readonly loop?: EventLoop;
}

/**
 * userns-restrict as another process has installed it, by its pinned maps. It takes a few system calls and no libbpf.
 * @throws ENOENT if it is not installed, EACCES and EPERM without the privileges; with a loop BpfError with ERR_BPF_IN_USE while
 * another process is told of dead namespaces
 */
export function openUsernsRestrict(options: OpenOptions = {}): UsernsRestrict {
  checkObject('options', options);
  const { directory = DIRECTORY, loop } = options;
  checkText('directory', directory);
  if (loop !== undefined) checkMethods('loop', loop, 'an EventLoop', 'io');
  return new PinnedRestrict(usedPlace(directory), loop);
}
