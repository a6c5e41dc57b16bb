import type { Observable } from 'rxjs';

/**
 * The border to userns-restrict: what a task in a registered user namespace may create and own on which mounts, and the
 * news of namespaces that died. A namespace is named by an fd of it, or by its inode once there is no fd any more.
 */
export interface UsernsRestrict extends Disposable {
  /** Whether the kernel enforces it. */
  readonly enforced: boolean;
  /** Registers a user namespace, with nothing on its list of allowed mounts. */
  put(usernsFd: number): void;
  /** Puts a mount on a registered namespace's list. */
  allowMount(usernsFd: number, mountFd: number): void;
  /** Forgets a namespace; harmless if it is not registered. */
  reset(inode: number): void;
  /** The inodes of registered namespaces that died, as they are found to be dead. */
  readonly dead: Observable<readonly number[]>;
}
