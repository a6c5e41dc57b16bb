/**
 * Which process is the manager. Several parts of the manager ask for this, and others find it out, so each of them is given this object;
 * none needs to know another part for it.
 */
export class Office {
  /** Whether this process is the manager. `Succession` sets it. */
  isManager: boolean;
  /** The process that takes over from this one, or is about to, by its id. `Reload` sets it. */
  successor: number | undefined;

  constructor(isManager: boolean) {
    this.isManager = isManager;
  }
}
