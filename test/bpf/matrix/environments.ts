import { ATTEMPTS, type Attempt } from './attempts.js';
import { initial, type Mount, outside, type Task, type UserNamespace } from './facts.js';
import {
  CONTROL_GROUP,
  EARLY_OVERLAYS,
  FOREIGN_MOUNTS,
  IDMAPPED_MOUNTS,
  INNER_TMPFS,
  LANDLORD_TMPFS,
  LODGER_TMPFS,
  MIXED_TMPFS,
  OWN_MOUNTS,
} from './mounts.js';
import { USERS } from './users.js';

/** A place in namespaces from which is tried, and what. */
export interface Environment {
  readonly name: string;
  /** The way there, as the program takes it. */
  readonly steps: readonly string[];
  readonly task: Task;
  /** Whom files are given to, by ids inside. */
  readonly others: readonly [uid: number, gid: number];
  readonly cells: readonly Cell[];
  /** Whether another one like it says what Linux allows in it. */
  readonly isLikeAnother: boolean;
}

/** One of the matrix. */
export interface Cell {
  readonly mount: Mount;
  readonly attempt: Attempt;
  /** Whether the mount is in the mount namespace of who tries; else it is reached through another process. */
  readonly isReached: boolean;
}

interface Options {
  /** Ids inside of who acts, and of whom it gives files to. */
  readonly ids?: readonly [uid: number, gid: number];
  readonly others?: readonly [uid: number, gid: number];
  readonly mounts?: readonly Mount[];
  readonly attempts?: readonly Attempt[];
  readonly isLikeAnother?: boolean;
}

/** One of each kind, for where all would say nothing more. */
const FEW: readonly Attempt[] = ATTEMPTS.filter(({ name }) =>
  [
    ...['mkdir', 'mkdir-uring', 'mkdir-proc-fd', 'bind', 'open-create', 'openat2-passed', 'tmpfile-link', 'symlink'],
    ...['link', 'rename', 'rename-whiteout', 'chown', 'overlay', 'setgroups'],
  ].includes(name),
);

/** Where an overlay is tried at least. */
const OVERLAID = ['disk', 'away', 'own-tmpfs', 'inner-tmpfs', 'landlord-tmpfs'];

/** For where nothing is that they could be done with. */
const WITHOUT_FURNITURE = ['mkdir', 'mkdir-uring', 'mkdir-proc-fd', 'mknod-fifo', 'bind', 'open-create', 'symlink'];

/** For each depth. */
const FEWEST: readonly Attempt[] = ATTEMPTS.filter(({ name }) =>
  ['mkdir', 'open-passed', 'symlink', 'link', 'chown', 'setgroups'].includes(name),
);

const foreign = [...FOREIGN_MOUNTS, ...IDMAPPED_MOUNTS];
const all = [...foreign, ...OWN_MOUNTS];
const named = (...names: readonly string[]) => all.filter(({ name }) => names.includes(name));
const usual = named('disk', 'fuse', 'away', 'kept-many', 'own-bind', 'own-tmpfs');

/** The user namespace that the steps lead to. */
function namespaceAfter(steps: readonly string[]): UserNamespace {
  return steps.reduce((namespace: UserNamespace, step) => {
    const [verb, what = ''] = step.split(':');
    if (verb === 'user') return USERS.find(({ name }) => name === what) ?? initial;
    const count = verb === 'nest' ? Number(what) : verb === 'new' && what.includes('U') ? 1 : 0;
    return Array.from({ length: count }).reduce(nested, namespace);
  }, initial);
}

/** Its root is that of the one around it, and nobody else is in it. */
function nested(parent: UserNamespace): UserNamespace {
  return { name: `${parent.name}+`, parent, uids: [[0, 0, 1]], gids: [[0, 0, 1]] };
}

function environment(name: string, steps: readonly string[], options: Options = {}): Environment {
  const namespace = namespaceAfter(steps);
  const isAlone = namespace.uids.every(([, , count]) => count === 1);
  const { ids = [0, 0], others = isAlone ? [0, 0] : [1, 1] } = options;
  const { mounts = usual, attempts = FEW, isLikeAnother = false } = options;
  const idsOf = ([uid, gid]: readonly [number, number]) => ({
    uids: outside(namespace, 'uids', uid) ?? 0,
    gids: outside(namespace, 'gids', gid) ?? 0,
  });
  return {
    name,
    steps,
    task: { namespace, ids: idsOf(ids), others: idsOf(others) },
    others,
    isLikeAnother,
    cells: mounts.flatMap((mount) =>
      attempts
        .filter((attempt) => isTriedOn(attempt, mount, mounts))
        // To mount one takes long.
        .filter(({ meets }) => meets !== 'overlay' || attempts === ATTEMPTS || OVERLAID.includes(mount.name))
        .map((attempt) => ({
          mount,
          attempt,
          isReached: mount.maker === undefined || steps.some((step) => step.startsWith('mnt:')),
        })),
    ),
  };
}

/** Some need no mount, and one mount has little to try. */
function isTriedOn({ name, meets }: Attempt, mount: Mount, [first]: readonly Mount[]): boolean {
  if (meets === 'setgroups') return mount === first;
  if (mount.upper) return WITHOUT_FURNITURE.includes(name);
  return mount !== CONTROL_GROUP || name.startsWith('mkdir');
}

const inside = ['user:lent', 'mnt:lent'];

/** In which all is tried once more. */
const THOROUGH = 'new user and mount namespace';

const made: Readonly<Record<string, string>> = {
  'new mount namespace': 'new:m',
  'new user namespace': 'new:U',
  'new user and mount namespace': 'new:Um',
  'new pid namespace': 'new:p',
  'new network namespace': 'new:n',
  'all new': 'new:UmpniuC',
  chroot: 'chroot',
  pivot_root: 'pivot',
};

const depths = Array.from({ length: 33 }, (_, index) => index + 1);

export const ENVIRONMENTS: readonly Environment[] = [
  environment('registered, in the first mount namespace', ['user:lent'], { mounts: all }),
  environment('registered', inside, { attempts: ATTEMPTS, mounts: [...all, CONTROL_GROUP, ...EARLY_OVERLAYS] }),
  ...Object.entries(made).map(([name, step]) =>
    environment(
      name,
      [...inside, step],
      name === THOROUGH ? { mounts: [...all, ...EARLY_OVERLAYS], attempts: ATTEMPTS } : {},
    ),
  ),
  environment("after setns into a child's namespaces", [...inside, 'user:child', 'mnt:child']),
  environment("in a child's user namespace, with the parent's mounts", [...inside, 'user:child']),
  environment('registered, another user', [...inside, 'ids:33:34'], { ids: [33, 34], others: [33, 34] }),
  ...depths.map((depth) =>
    environment(`nested ${depth} deep`, depth === 1 ? inside : [...inside, `nest:${depth - 1}`], {
      mounts: depth % 8 === 1 ? named('disk', 'away', 'kept-many', 'own-tmpfs') : named('disk'),
      isLikeAnother: depth % 8 !== 1,
      attempts: FEWEST,
    }),
  ),
  environment('not registered', ['user:sibling', 'mnt:sibling'], {
    mounts: named('disk', 'tmpfs', 'fuse', 'kept-many'),
    attempts: ATTEMPTS,
  }),
  environment('not registered, nested', ['user:sibling', 'mnt:sibling', 'new:Um'], {
    mounts: named('disk', 'fuse', 'kept-many'),
  }),
  environment('the first namespace', [], { mounts: FOREIGN_MOUNTS }),
  environment('one lent id', ['user:single', 'mnt:single'], { mounts: FOREIGN_MOUNTS }),
  environment('one lent id, nested', ['user:single', 'mnt:single', 'new:Um'], { mounts: FOREIGN_MOUNTS }),
  environment("the owner's own id", ['user:self', 'mnt:self'], { mounts: FOREIGN_MOUNTS }),
  ...[
    [0, 0],
    [0, 1000],
    [1000, 0],
    [1000, 1000],
  ].map(([uid = 0, gid = 0]) =>
    environment(`lent ids and others, as ${uid}:${gid}`, ['user:mixed', 'mnt:mixed', `ids:${uid}:${gid}`], {
      ids: [uid, gid],
      others: [uid, gid],
      mounts: [...FOREIGN_MOUNTS.slice(0, 1), ...IDMAPPED_MOUNTS, MIXED_TMPFS],
    }),
  ),
  environment('registered in a registered one', ['user:lent', 'user:inner', 'mnt:inner'], {
    mounts: [...usual, INNER_TMPFS],
  }),
  environment('around a registered one', ['user:landlord', 'mnt:landlord'], {
    ids: [0, 0],
    others: [1000, 1000],
    mounts: [...FOREIGN_MOUNTS, LANDLORD_TMPFS],
  }),
  environment('registered in one that is not', ['user:landlord', 'user:lodger', 'mnt:lodger'], {
    mounts: [...FOREIGN_MOUNTS, LANDLORD_TMPFS, LODGER_TMPFS],
  }),
  environment('no setgroups', ['user:quiet', 'mnt:quiet'], { mounts: FOREIGN_MOUNTS }),
  environment('no setgroups, nested', ['user:quiet', 'mnt:quiet', 'new:Um'], { mounts: FOREIGN_MOUNTS }),
];
