import type { Fd } from '@sdrx/linux';
import type { Observable } from 'rxjs';

/**
 * The border to userns-restrict: what tasks in registered user namespaces may create and own where, and the news of
 * namespaces that died. A namespace is named by an fd of it, or by its inode.
 */
export interface UsernsRestrict extends Disposable {
  /** Whether the kernel enforces it. */
  readonly enforced: boolean;
  /** How the kernel tells of namespaces that died, `fentry retire_userns_sysctls` at best; undefined if not to us. */
  readonly hook: string | undefined;
  /** Registers a user namespace. @throws E2BIG if there are 16,384 already */
  put(usernsFd: number): void;
  /** The same, by its inode. */
  putInode(inode: number): void;
  /** Denies setgroups(2) in a namespace, and in those below it that are not registered themselves. @throws E2BIG */
  denySetgroups(inode: number): void;
  /** Forgets namespaces; harmless if they are not registered. */
  reset(...inodes: readonly number[]): void;
  /** The inodes of all that are registered, or have setgroups(2) denied. */
  inodes(): number[];
  /**
   * The inodes of registered namespaces that died, as they are found to be dead; once more after a restart if their observer
   * did not return. Fails with EIO for a malformed record, after the others were told; who subscribes again misses nothing.
   */
  readonly dead: Observable<readonly number[]>;
}

/** userns-restrict as it was loaded, with its maps pinned. */
export interface InstalledUsernsRestrict extends UsernsRestrict {
  /** What this kernel lacks, and what comes of it, a sentence each. */
  readonly omissions: readonly string[];
  /**
   * By what this process is the only one that is told of deaths, a lock on the folder of the maps. Passed to another process as
   * `InstallOptions.reader`, it lets that one be told, too; one of the two may be subscribed to `dead` at a time. Stays this object's.
   */
  readonly reader: Fd;
  /**
   * Attaches the programs and pins them; what others have pinned goes when ours work. To be called once, when all namespaces are
   * put that are registered: from now on nothing but the maps says which those are.
   * @throws BpfError with ERR_BPF_ATTACH and others; then what was pinned before is enforced as before
   */
  attach(): void;
}
