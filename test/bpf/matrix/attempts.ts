/** What of the rule an attempt meets on its way through the kernel; undefined if nothing. */
export type Meets = 'create' | 'chown' | 'chown user' | 'chown group' | 'overlay' | 'setgroups' | undefined;

export interface Attempt {
  readonly name: string;
  readonly meets: Meets;
  /** The name of the inode that it makes, below the mount. */
  readonly makes?: string;
  /** What it is about; undefined if anybody may do it. */
  readonly about?: 'a new name' | "one's own file";
  /** What the kernel must be able to do on the mount. */
  readonly needs?: Need;
  /** Why it puts a lent id on a disk, and nobody refuses it. */
  readonly open?: string;
}

export type Need =
  | 'a device'
  | 'a privileged attribute'
  | 'a temporary file'
  | 'a name by others'
  | 'a whiteout'
  | 'an upper layer'
  | 'its mount namespace'
  | 'user attributes';

const create = (name: string): Attempt => ({ name, meets: 'create', makes: name, about: 'a new name' });
/** Of a file that is there, or has no name yet. */
const link = (name: string): Attempt => ({ name, meets: 'create', about: 'a new name' });
const overlay = (name: string): Attempt => ({
  name,
  meets: 'overlay',
  makes: `upper/${name}`,
  needs: 'an upper layer',
});
const free = (name: string, more: Partial<Attempt> = {}): Attempt => ({ name, meets: undefined, ...more });
const change = (name: string, more: Partial<Attempt> = {}): Attempt => free(name, { about: "one's own file", ...more });

const ACL_OPEN = 'nobody is asked for lists of access rights, which own nothing but may name anybody';

/** What an overlay makes below its folder for work before anybody can see where it writes to, which is open as well. */
export const WORK = 'work/work';

/** All attempts, in an order in which none spoils another's. */
export const ATTEMPTS: readonly Attempt[] = [
  ...['mkdir', 'mkdir-passed', 'mkdir-uring', 'mkdir-proc-fd', 'mkdir-proc-root', 'mkdir-proc-cwd'].map(create),
  ...['mkdir-unshare', 'mkdir-set-id', 'mknod-file', 'mknod-fifo', 'mknod-socket', 'mknod-passed', 'bind'].map(create),
  ...['open-create', 'open-exclusive', 'open-passed', 'openat2-passed', 'open-proc-fd', 'open-uring'].map(create),
  ...['symlink', 'symlink-passed', 'symlink-uring'].map(create),
  { ...create('mkdir-detached'), needs: 'its mount namespace' },
  { ...create('mknod-whiteout'), needs: 'a whiteout' },
  { ...create('mknod-device'), needs: 'a device' },
  ...['link', 'link-passed', 'link-uring'].map(link),
  { ...link('tmpfile'), needs: 'a temporary file' },
  { ...create('tmpfile-link'), needs: 'a temporary file' },
  { ...create('tmpfile-passed'), needs: 'a name by others' },
  free('rename', { about: 'a new name' }),
  ...['rename-exchange', 'open-existing', 'mmap-shared', 'chown-nobody'].map((name) => free(name)),
  ...['rename-whiteout', 'rename-whiteout-uring'].map((name) => ({ ...create(name), needs: 'a whiteout' }) as const),
  free('xattr-user', { needs: 'user attributes' }),
  free('xattr-trusted', { needs: 'a privileged attribute' }),
  change('chmod-set-id'),
  change('xattr-capability', { open: "a file's capabilities hold the id of the namespace's root, and own nothing" }),
  ...['acl', 'acl-default'].map((name) => change(name, { open: ACL_OPEN })),
  { name: 'chown', meets: 'chown' },
  { name: 'fchown', meets: 'chown' },
  { name: 'lchown', meets: 'chown user' },
  { name: 'chown-passed', meets: 'chown user' },
  { name: 'chown-group', meets: 'chown group' },
  ...['overlay', 'overlay-read-only', 'overlay-detached'].map(overlay),
  { name: 'setgroups', meets: 'setgroups' },
];
