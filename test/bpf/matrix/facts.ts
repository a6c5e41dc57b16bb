import { type IdMap, outward } from './ids.js';

/** The ids of users, or those of groups; all is the same for both. */
export const KINDS = ['uids', 'gids'] as const;
export type Kind = (typeof KINDS)[number];

export interface UserNamespace {
  readonly name: string;
  /** None has the first one. */
  readonly parent?: UserNamespace;
  /** From ids inside to those of the parent. */
  readonly uids: IdMap;
  readonly gids: IdMap;
  /** Whether the daemon has lent it its ids. */
  readonly registered?: boolean;
  /** Of a registered one, whether nobody may call setgroups(2) in it. */
  readonly deniesSetgroups?: boolean;
}

const everything: IdMap = [[0, 0, 2 ** 32 - 1]];
export const initial: UserNamespace = { name: '-', uids: everything, gids: everything };

/** A namespace and those above it, the nearest first. */
export function ancestry(namespace: UserNamespace): UserNamespace[] {
  return [namespace, ...(namespace.parent ? ancestry(namespace.parent) : [])];
}

/** An id of a namespace as the first one has it. */
export function outside(namespace: UserNamespace, kind: Kind, id: number | undefined): number | undefined {
  return ancestry(namespace).reduce(
    (above: number | undefined, { [kind]: map }) => (above === undefined ? undefined : outward(map, above)),
    id,
  );
}

export type FileSystem = 'ext4' | 'tmpfs' | 'fuse' | 'overlay' | 'cgroup';

export interface Mount {
  readonly name: string;
  readonly fileSystem: FileSystem;
  /** The namespace whose file system it is: in which that was mounted. */
  readonly superblock: UserNamespace;
  /** In whose mount namespace alone it is; undefined if in the first one, so that all have it. */
  readonly maker?: UserNamespace;
  /** Of an overlay: the mount that it writes to. */
  readonly upper?: Mount;
  /** From ids of the disk to those of the mount; undefined if they are the same. mount_setattr(2) */
  readonly idmap?: undefined | { readonly [K in Kind]: IdMap };
}

/** Who acts. */
export interface Task {
  readonly namespace: UserNamespace;
  /** Ids of the file system, as the first namespace has them. */
  readonly ids: { readonly [K in Kind]: number };
  /** Whom it gives files to, likewise. */
  readonly others: { readonly [K in Kind]: number };
}
