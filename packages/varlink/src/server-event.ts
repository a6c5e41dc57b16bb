import type { RefusalReason } from './limits.js';

/** What a server tells of its work. A `uid` is who answers for the client; see `ServeOptions.account`. */
export type ServerEvent =
  /** Connections were accepted, not refused; `waiting`: more wait still. */
  | { readonly type: 'accepted'; readonly count: number; readonly waiting: boolean }
  /** In this turn, `calls` calls arrived; `unanswered` are being worked on. Comes for turns that change either. */
  | { readonly type: 'worked'; readonly calls: number; readonly unanswered: number; readonly connections: number }
  /** In this turn, a user was refused something so often, for this reason. */
  | { readonly type: 'refused'; readonly uid: number; readonly reason: RefusalReason; readonly count: number }
  /** Closing a descriptor of this user's takes longer than a second, in a thread that waits for it, maybe for good. */
  | { readonly type: 'stuck'; readonly uid: number }
  /** No descriptor or memory for another connection: accepting stops for a second, or until a connection closes. */
  | { readonly type: 'exhausted'; readonly error: Error }
  /** A handler of ours threw something that is no VarlinkError, or a connection broke down. */
  | { readonly type: 'failed'; readonly error: unknown; readonly method: string | undefined };
