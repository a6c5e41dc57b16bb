import { type ChildChange, Fd } from '@sdrx/linux';
import type { Attachment } from '../core/attachment.js';
import type { SourceHandle } from '../core/source-handle.js';
import type { Child, WantedChanges } from './kernel.js';
import { isNodeChild, nodeChildOf } from './node-child.js';
import { WatchedNodeChild } from './watched-node-child.js';
import { WatchedPidfd } from './watched-pidfd.js';
import type { Watcher } from './watcher.js';

/** Watches a child process: one of Node's, however it is given, by Node, which reaps it, and any other by its pidfd. */
export function watchChild(
  watcher: Watcher,
  which: Child,
  wanted: WantedChanges,
  observer: SourceHandle<ChildChange>,
): Attachment<ChildChange> {
  if (isNodeChild(which)) return new WatchedNodeChild(observer, which, wanted);
  const known = typeof which === 'number' || which instanceof Fd ? nodeChildOf(which) : undefined;
  if (known === undefined) return new WatchedPidfd(watcher, observer, which, wanted);
  return new WatchedNodeChild(observer, known, wanted, which instanceof Fd ? which : undefined);
}
