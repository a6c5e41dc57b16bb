import type { WorkerContext } from '../worker/worker-context.js';

/**
 * What one user has of the namespaces that a user may have.
 *
 * Who has but one uid has as many as are registered for that. Who uses one for which another user answers has what is
 * registered for all such uids of that user's, so that nobody gets more by being many.
 */
export class NamespaceShare {
  readonly #context: Pick<WorkerContext, 'registry' | 'accounts' | 'limits'>;
  readonly #owner: number;
  #owners: readonly number[];

  /** @param owner who has, or is to have, a namespace */
  constructor(context: Pick<WorkerContext, 'registry' | 'accounts' | 'limits'>, owner: number) {
    this.#context = context;
    this.#owner = owner;
    this.#owners = [owner];
  }

  /**
   * Finds the other uids. That takes time in proportion to the number of all namespaces, though only for those who have others:
   * so it is done before the registry's lock is taken. What comes to be registered for another uid until then is not seen.
   */
  look(): void {
    const { registry, accounts } = this.#context;
    if (accounts.of(this.#owner) === this.#owner) return;
    this.#owners = accounts.sameAs(this.#owner, [...new Set([this.#owner, ...registry.owners()])]);
  }

  /** Whether there are as many as there may be. */
  get exhausted(): boolean {
    const { registry, limits } = this.#context;
    let left = limits.namespacesPerUser;
    for (const owner of this.#owners) {
      if (registry.hasAtLeast(left, owner)) return true;
      // One uid is all for most.
      if (this.#owners.length > 1) left -= registry.count(owner);
    }
    return false;
  }

  /** The inodes of the namespaces. */
  get namespaces(): number[] {
    return this.#owners.flatMap((owner) => this.#context.registry.ownedBy(owner));
  }
}
