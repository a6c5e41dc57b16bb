import type { Attempt } from './attempts.js';
import { initial, KINDS, type Mount, type Task } from './facts.js';
import { onDisk } from './rule.js';

/** What a kernel that restricts nothing answers: `ok`, or the name of an errno. */
export type Answer = string;

/** Of which the versions differ in what they can do. */
export interface Kernel {
  readonly major: number;
  readonly minor: number;
}

function isSince({ major, minor }: Kernel, since: readonly [number, number]): boolean {
  return major > since[0] || (major === since[0] && minor >= since[1]);
}

/** Without the rule everything that is tried succeeds, but for what these kernels, file systems and mounts can't. */
export function plainly(
  { name, meets, about, needs }: Attempt,
  task: Task,
  mount: Mount,
  isReached: boolean,
  kernel: Kernel,
): Answer {
  const { fileSystem, idmap, superblock } = mount;
  // A file system without temporary files says so before it looks at ids.
  if (needs === 'a temporary file' || needs === 'a name by others') {
    if (fileSystem === 'fuse') return 'EOPNOTSUPP';
    if (fileSystem === 'overlay' && !isSince(kernel, [6, 3])) return 'EOPNOTSUPP';
  }
  if (KINDS.some((kind) => onDisk(mount, kind, task.ids[kind]) === undefined)) {
    // Older kernels make files without names that have no owner, either, and look at whom a list names first.
    if (name === 'tmpfile' && !isSince(kernel, [6, 2])) return 'ok';
    if (name.startsWith('acl') && !isSince(kernel, [6, 2])) return 'EINVAL';
    if (about === 'a new name' || meets?.startsWith('chown')) return 'EOVERFLOW';
    if (about === "one's own file") return 'EPERM';
    // Where it can't make its own files an overlay is for reading only.
    if (meets === 'overlay') return isReached ? 'EROFS' : 'EINVAL';
  }
  switch (needs) {
    case 'a device':
    case 'a privileged attribute':
      return task.namespace === initial ? 'ok' : 'EPERM';
    case 'its mount namespace':
      return isReached ? 'ok' : 'EINVAL';
    case 'an upper layer':
      return isReached && fileSystem !== 'overlay' ? 'ok' : 'EINVAL';
    case 'a whiteout':
      if (fileSystem === 'overlay') return name.startsWith('mknod') ? 'EPERM' : 'EINVAL';
      return 'ok';
    case 'a name by others':
      // It is the first namespace's root who gives it.
      return idmap || superblock !== initial ? 'EOVERFLOW' : 'ok';
    case 'user attributes':
      // Of a namespace's own the overlay is on a tmpfs.
      if (fileSystem === 'overlay' && superblock === initial) return 'ok';
      return ['tmpfs', 'overlay'].includes(fileSystem) && !isSince(kernel, [6, 6]) ? 'EOPNOTSUPP' : 'ok';
    default:
      return 'ok';
  }
}
