import { Unrestricted, type UsernsRestrict } from '@sdrx/bpf';
import type { EventLoop } from '@sdrx/event';
import type { Log } from './log.js';
import { NamespaceLiveness } from './namespace-liveness.js';
import { probeNamespaces } from './namespace-probe.js';
import type { Registry } from './registry.js';

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
  loop: EventLoop,
  restriction: Restriction,
  runtimeDirectory: string,
  registry: Registry,
  log: Log,
  enforce: () => UsernsRestrict,
): Restrictor {
  if (restriction === 'off') {
    const liveness = new NamespaceLiveness(runtimeDirectory);
    return { restrict: new Unrestricted(probeNamespaces(loop, registry, liveness)), liveness };
  }
  try {
    return { restrict: enforce(), liveness: undefined };
  } catch (error) {
    log.notice('userns-restrict not available, proceeding with user namespace interfaces disabled', error);
    return { restrict: undefined, liveness: undefined };
  }
}
