import type { Observable } from 'rxjs';

/**
 * The border to userns-restrict: what a task in a registered user namespace may create and own on which mounts, and the
 * news of namespaces that died. A namespace is named by an fd of it, or by its inode once there is no fd any more.
 */
export interface UsernsRestrict extends Disposable {
  /** Whether the kernel enforces it. */
  readonly enforced: boolean;
  /** How the kernel tells of namespaces that died, `fentry retire_userns_sysctls` at best; undefined if not to us. */
  readonly hook: string | undefined;
  /** Registers a user namespace, with nothing on its list of allowed mounts. */
  put(usernsFd: number): void;
  /**
   * Puts a mount on a registered namespace's list. Throws ENOENT if it is not registered, E2BIG if there are 4096 already.
   * Of two at a time for one namespace one might get lost: callers hold the registry's lock.
   */
  allowMount(usernsFd: number, mountFd: number): void;
  /** Empties the lists of all namespaces: when nobody keeps the mounts any more, the kernel gives their ids to others. */
  forgetMounts(): void;
  /** Forgets namespaces; harmless if they are not registered. All at once, as each time costs about 10 ms. */
  reset(...inodes: readonly number[]): void;
  /**
   * The inodes of registered namespaces that died, as they are found to be dead; once more after a restart if their observer
   * did not return. Fails with EIO for a malformed record, after the others were told; who subscribes again misses nothing.
   */
  readonly dead: Observable<readonly number[]>;
}
