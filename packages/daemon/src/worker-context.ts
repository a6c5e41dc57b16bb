import type { EventLoop } from '@sdrx/event';
import type { Limits } from './limits.js';
import type { Quota } from './quota.js';
import type { NamespaceTraces } from './release.js';

/** What the methods work with. */
export interface WorkerContext extends NamespaceTraces {
  readonly loop: EventLoop;
  readonly limits: Limits;
  /** The processes within namespaces, by whose namespaces they are. */
  readonly helpers: Quota;
}
