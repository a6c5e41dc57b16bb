import { check, Fd, libc } from '@sdrx/linux';

const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const OPEN_TREE_CLONE = 1;
const MOUNT_ATTR_IDMAP = 0x10_0000;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const FSCONFIG_CMD_CREATE = 6;

// The same on all architectures.
const OPEN_TREE = 428;
const MOVE_MOUNT = 429;
const FSOPEN = 430;
const FSCONFIG = 431;
const FSMOUNT = 432;
const MOUNT_SETATTR = 442;

const onPath = libc<(number: number, fd: number, path: string, flags: number) => number>(
  'long syscall(long, int, const char *, uint)',
);
const onName = libc<(number: number, name: string, flags: number) => number>('long syscall(long, const char *, uint)');
const onContext = libc<(number: number, fd: number, command: number, key: null, value: null, aux: number) => number>(
  'long syscall(long, int, uint, void *, void *, int)',
);
const onFd = libc<(number: number, fd: number, flags: number, attributes: number) => number>(
  'long syscall(long, int, uint, uint)',
);
const setAttributes = libc<
  (number: number, fd: number, path: string, flags: number, attributes: Uint8Array, size: number) => number
>('long syscall(long, int, const char *, uint, void *, ulong)');
const move = libc<(number: number, from: number, path: string, to: number, target: string, flags: number) => number>(
  'long syscall(long, int, const char *, int, const char *, uint)',
);

/** A mount of the file system at `path`, seen from there, that is nowhere yet. open_tree(2) OPEN_TREE_CLONE. */
export function cloneMount(path: string): Fd {
  return new Fd(check(onPath(OPEN_TREE, AT_FDCWD, path, OPEN_TREE_CLONE), 'open_tree', path));
}

/** A new file system, whose mount is nowhere yet. fsopen(2), fsconfig(2), fsmount(2). */
export function newMount(type: string): Fd {
  using context = new Fd(check(onName(FSOPEN, type, 0), 'fsopen', type));
  check(onContext(FSCONFIG, context.number, FSCONFIG_CMD_CREATE, null, null, 0), 'fsconfig', type);
  return new Fd(check(onFd(FSMOUNT, context.number, 0, 0), 'fsmount', type));
}

/** Has a mount map ids as a user namespace does, outside ones to inside ones. mount_setattr(2) MOUNT_ATTR_IDMAP. */
export function mapMount(mount: Fd, namespace: Fd): void {
  const attributes = Buffer.alloc(32);
  attributes.writeBigUInt64LE(BigInt(MOUNT_ATTR_IDMAP), 0);
  attributes.writeBigUInt64LE(BigInt(namespace.number), 24);
  const result = setAttributes(MOUNT_SETATTR, mount.number, '', AT_EMPTY_PATH, attributes, attributes.byteLength);
  check(result, 'mount_setattr', mount.number);
}

/** Puts it at `path`. move_mount(2). */
export function placeMount(mount: Fd, path: string): void {
  check(move(MOVE_MOUNT, mount.number, '', AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH), 'move_mount', path);
}
