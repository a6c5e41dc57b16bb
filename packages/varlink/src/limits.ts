import {
  EAGAIN,
  ELNRNG,
  EMFILE,
  EMSGSIZE,
  ENOSPC,
  ETIME,
  ETIMEDOUT,
  ETOOMANYREFS,
  EUSERS,
  MAX_PASSED_FDS,
} from '@sdrx/linux';
import { MAX_MESSAGE } from './message.js';
import { varlinkService } from './service-interface.js';
import { systemFailure } from './system-failure.js';
import { ProtocolError, type VarlinkError } from './varlink-error.js';

/**
 * What a server lets its clients have. What one user has is counted over all connections of the server, by uid unless
 * `ServeOptions.account` says otherwise.
 */
export interface ServeLimits {
  /** Connections at a time, of all users. */
  readonly connections: number;
  /** Connections at a time, of one user. */
  readonly connectionsPerUser: number;
  /** The longest message that is read, in bytes, its NUL included. What is longer is not kept. */
  readonly messageSize: number;
  /** How deep objects and arrays of a message may be nested. What is deeper is not kept. */
  readonly messageDepth: number;
  /** Descriptors that may come with one message, at most 253. */
  readonly messageFds: number;
  /** From a message's first byte to its last, in milliseconds. */
  readonly messageTime: number;
  /** Descriptors of one user that are held at a time: of unfinished messages, unanswered calls, and not closed yet. */
  readonly fdsPerUser: number;
  /** Calls of one user that are being worked on at a time. Further ones wait unread, which costs only their sender. */
  readonly callsPerUser: number;
  /** Calls of one user in a second, but for root, whose processes call for others. Further ones wait unread. */
  readonly callsPerSecond: number;
  /** How long a call may be without a reply, in milliseconds. */
  readonly callTime: number;
  /** How long a client may take none of the replies that wait for it, in milliseconds. */
  readonly replyTime: number;
}

/** The limits of a server that is given no others. */
export const SERVE_LIMITS: ServeLimits = {
  connections: 4096,
  connectionsPerUser: 128,
  messageSize: MAX_MESSAGE,
  messageDepth: 128,
  messageFds: MAX_PASSED_FDS,
  messageTime: 45_000,
  fdsPerUser: 1024,
  callsPerUser: Number.POSITIVE_INFINITY,
  callsPerSecond: Number.POSITIVE_INFINITY,
  callTime: Number.POSITIVE_INFINITY,
  replyTime: 60_000,
};

/**
 * Why a client was refused something: the limit that it met; `admit`, the program's own; `bar`, because closing a descriptor
 * of that user's hung; `descriptors` and `watches`, because this process can have no more of them.
 */
export type RefusalReason = keyof ServeLimits | 'admit' | 'bar' | 'descriptors' | 'watches';

/** What the client is told, if anything: to a client that takes no replies there is nothing to say. */
const ERRNOS: Partial<Record<RefusalReason, number>> = {
  connections: EAGAIN,
  connectionsPerUser: EUSERS,
  admit: EUSERS,
  messageSize: EMSGSIZE,
  messageDepth: ELNRNG,
  messageFds: ETOOMANYREFS,
  fdsPerUser: ETOOMANYREFS,
  messageTime: ETIME,
  callTime: ETIMEDOUT,
  descriptors: EMFILE,
  watches: ENOSPC,
};

const refusals = new Map<RefusalReason, VarlinkError>();

/** The error reply for a refusal. */
export function refusal(reason: RefusalReason): VarlinkError {
  let error = refusals.get(reason);
  if (error === undefined) {
    const errno = ERRNOS[reason];
    error = errno === undefined ? varlinkService.errors.PermissionDenied() : systemFailure(errno);
    refusals.set(reason, error);
  }
  return error;
}

/** A message that meets a limit. Its connection is of no use after that, as nobody knows where the next message begins. */
export class LimitError extends ProtocolError {
  constructor(readonly reason: RefusalReason) {
    super(`a message meets the limit '${reason}'`);
  }
}

/**
 * @returns all limits, those that are not given as by default.
 * @throws RangeError for one that is no positive number
 */
export function serveLimits(given: Partial<ServeLimits> = {}): ServeLimits {
  for (const [name, value] of Object.entries(given)) {
    const valid = typeof value === 'number' && (value > 0 || (value === 0 && name === 'messageFds'));
    if (!valid) throw new RangeError(`the limit '${name}' must be a positive number, not ${value}`);
  }
  const limits = { ...SERVE_LIMITS, ...given };
  return { ...limits, messageFds: Math.min(limits.messageFds, MAX_PASSED_FDS) };
}
