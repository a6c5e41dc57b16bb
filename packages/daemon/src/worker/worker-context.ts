import type { EventLoop } from '@sdrx/event';
import type { Limits } from '../limits/limits.js';
import type { Quota } from '../limits/quota.js';
import type { HelperLauncher } from '../namespace/helper-launcher.js';
import type { NamespaceTraces } from '../namespace/release.js';
import type { Authority } from '../polkit/authority.js';
import type { Accounts } from '../user/account.js';
import type { NameLookups } from '../user/name-lookups.js';

/** What the methods work with. */
export interface WorkerContext extends NamespaceTraces {
  readonly loop: EventLoop;
  readonly limits: Limits;
  /** Who answers for a uid. */
  readonly accounts: Accounts;
  /** Who says what a client may do. */
  readonly authority: Authority;
  /** What starts processes within namespaces. */
  readonly launcher: HelperLauncher;
  /** The processes within namespaces, by who asked for what they are there for. */
  readonly helpers: Quota;
  /** The system's user database. */
  readonly lookups: NameLookups;
}
