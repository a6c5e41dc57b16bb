import type { Meets } from './attempts.js';
import { ancestry, initial, KINDS, type Kind, type Mount, outside, type Task } from './facts.js';
import { hasTransient, type IdMap, inward, isTransient } from './ids.js';

/** What a kernel does not tell a program, which then goes by the worst. */
export interface Lacks {
  /** How mounts map ids: none seems to. */
  readonly idmaps?: boolean;
  /** What overlays are made of: none is let in. */
  readonly overlays?: boolean;
}

/**
 * The rule, written down once: whether userns-restrict refuses what a task tries on a mount.
 *
 * Lent ids become another's one day, so no inode that outlives their namespace may have them. What dies with the namespace is
 * a file system that was mounted in it, or in one below it. Which mount namespace a mount is in says nothing, as everybody
 * copies all mounts into a new one at will; nor does a new user namespace free anybody from the rule for the ones above.
 */
export function isRefused(meets: Meets, task: Task, mount: Mount, lacks: Lacks = {}): boolean {
  const chain = ancestry(task.namespace);
  // The nearest that is known decides.
  const lent = chain.find(({ registered }) => registered);
  if (meets === undefined || !lent) return false;
  if (meets === 'setgroups') return lent.deniesSetgroups === true;
  if (lacks.overlays && (meets === 'overlay' || mount.fileSystem === 'overlay')) return true;
  // Control groups are removed with the namespace that they were given to, with all that it made below.
  if (mount.fileSystem === 'cgroup') return false;
  // What is written to an overlay is written to its upper layer.
  const disk = mount.upper ?? mount;
  if (ancestry(disk.superblock).includes(lent)) return false;
  const idmap = lacks.idmaps ? undefined : disk.idmap;
  switch (meets) {
    case 'create': {
      // Ids that are lent to nobody may go anywhere, whatever a mount makes of them.
      const isLent = KINDS.some((kind) => isTransient(task.ids[kind]));
      return isLent && KINDS.some((kind) => isTransient(onDisk({ ...disk, idmap }, kind, task.ids[kind])));
    }
    case 'chown':
      return KINDS.some((kind) => isTransient(onDisk(mount, kind, task.others[kind])));
    case 'chown user':
      return isTransient(onDisk(mount, 'uids', task.others.uids));
    case 'chown group':
      return isTransient(onDisk(mount, 'gids', task.others.gids));
    case 'overlay':
      return disk.superblock !== initial || !idmap || KINDS.some((kind) => writesLentIds(idmap[kind]));
  }
}

/** What the disk gets for an id, in the first namespace's terms; undefined if nothing, and the kernel refuses. */
export function onDisk({ upper, ...mount }: Mount, kind: Kind, id: number): number | undefined {
  const { idmap, superblock } = upper ?? mount;
  // Ids of a file system are those of its namespace, but no map at all changes none.
  return idmap ? outside(superblock, kind, inward(idmap[kind], id)) : id;
}

/** Whoever writes through an overlay, its upper mount decides by all of its ids, not by theirs. */
function writesLentIds(map: IdMap): boolean {
  return map.some(([disk, , count]) => hasTransient(disk, count));
}
