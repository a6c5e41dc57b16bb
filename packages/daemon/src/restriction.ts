import { Unrestricted, type UsernsRestrict } from '@sdrx/bpf';
import { NEVER } from 'rxjs';
import type { Log } from './log.js';
import { NamespaceLiveness } from './namespace-liveness.js';

/** `require`: without the BPF program the user namespace interfaces are off; `off`: they work without it. */
export const RESTRICTIONS = ['require', 'off'] as const;
export type Restriction = (typeof RESTRICTIONS)[number];

/** Who restricts the registered namespaces, and who finds out that they died. */
export interface Restrictor {
  /** Undefined where the user namespace interfaces are off. */
  readonly restrict: UsernsRestrict | undefined;
  /** Set where the kernel does not report the death of namespaces. */
  readonly liveness: NamespaceLiveness | undefined;
}

/**
 * Sets userns-restrict up as the administrator wants it.
 * @param enforce makes the one that the kernel enforces: the manager installs it, workers open what it has installed
 */
export function setUpRestriction(
  restriction: Restriction,
  runtimeDirectory: string,
  log: Log,
  enforce: () => UsernsRestrict,
): Restrictor {
  if (restriction === 'off') {
    // Who died is found by looking.
    return { restrict: new Unrestricted(NEVER), liveness: new NamespaceLiveness(runtimeDirectory) };
  }
  try {
    return { restrict: enforce(), liveness: undefined };
  } catch (error) {
    log.notice('userns-restrict not available, proceeding with user namespace interfaces disabled', error);
    return { restrict: undefined, liveness: undefined };
  }
}
