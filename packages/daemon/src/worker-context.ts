import type { EventLoop } from '@sdrx/event';
import type { Accounts } from './account.js';
import type { HelperLauncher } from './helper-launcher.js';
import type { Limits } from './limits.js';
import type { NameLookups } from './name-lookups.js';
import type { Quota } from './quota.js';
import type { NamespaceTraces } from './release.js';

/** What the methods work with. */
export interface WorkerContext extends NamespaceTraces {
  readonly loop: EventLoop;
  readonly limits: Limits;
  /** Who answers for a uid. */
  readonly accounts: Accounts;
  /** What starts processes within namespaces. */
  readonly launcher: HelperLauncher;
  /** The processes within namespaces, by who asked for what they are there for. */
  readonly helpers: Quota;
  /** The system's user database. */
  readonly lookups: NameLookups;
}
