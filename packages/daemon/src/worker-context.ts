import type { EventLoop } from '@sdrx/event';
import type { NamespaceTraces } from './release.js';

/** What the methods work with. */
export interface WorkerContext extends NamespaceTraces {
  readonly loop: EventLoop;
}
