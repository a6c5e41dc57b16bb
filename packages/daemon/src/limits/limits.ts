/** What the daemon lets its clients have: in all, or each user (see `Accounts`), over all workers together. */
export interface Limits {
  /** Connections at a time, of all users. */
  readonly connections: number;
  /** Connections at a time, of one user. */
  readonly connectionsPerUser: number;
  /** The longest message that is read, in bytes, its NUL included. */
  readonly messageSize: number;
  /** How deep objects and arrays of a message may be nested. */
  readonly messageDepth: number;
  /** Descriptors that may come with one message. */
  readonly messageFds: number;
  /** From a message's first byte to its last, in milliseconds. */
  readonly messageTime: number;
  /** Calls of one user that are being worked on at a time. */
  readonly callsPerUser: number;
  /** Calls of one user in a second to one worker, but for root. */
  readonly callsPerSecond: number;
  /** The longest that a call may take to be answered, in milliseconds. */
  readonly callTime: number;
  /** Registered namespaces of one user, with a range or without. */
  readonly namespacesPerUser: number;
  /** Processes of ours within namespaces of one user at a time. */
  readonly helpersPerUser: number;
  /** Worker processes, those that are always there included. */
  readonly workers: number;
}

/** The limits, unless an administrator sets others. The longest call that means something has less than 1 KiB. */
export const LIMITS: Limits = {
  connections: 4096,
  connectionsPerUser: 128,
  messageSize: 16 * 1024,
  messageDepth: 16,
  messageFds: 3,
  messageTime: 45_000,
  callsPerUser: 64,
  callsPerSecond: 500,
  callTime: 10_000,
  namespacesPerUser: 256,
  helpersPerUser: 4,
  workers: 4096,
};
