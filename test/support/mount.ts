import { Fd, libc, statx } from '@sdrx/linux';

const AT_FDCWD = -100;
const OPEN_TREE = 428;
const OPEN_TREE_CLONE = 1;
const O_CLOEXEC = 0o2000000;

const syscall = libc<(number: number, directory: number, path: string, flags: number) => number>(
  'long syscall(long, long, const char *, uint)',
);

/** A mount of the folder `path` that is nowhere attached and goes with its descriptor. open_tree(2) */
export function detachedMount(path: string): Fd {
  const fd = Number(syscall(OPEN_TREE, AT_FDCWD, path, OPEN_TREE_CLONE | O_CLOEXEC));
  if (fd < 0) throw new Error(`open_tree of ${path} failed`);
  return new Fd(fd);
}

/** The mounts that a process has descriptors of, by their ids. */
export function mountIdOf(fd: number): bigint | undefined {
  return statx(fd).mountId;
}
