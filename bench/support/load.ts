import * as t from 'io-ts';
import { resultOf } from './result-of.js';

export interface CallsOptions {
  readonly socket: string;
  /** One connection for each client, or a new one for each call. */
  readonly connections: 'kept' | 'one a call';
  readonly clients: number;
  /** When to end at the latest, and how long to wait for a reply. */
  readonly seconds: number;
  /** How many calls; without it as many as there is time for. */
  readonly calls?: number;
  /** How many more clients connect and say nothing. */
  readonly idle?: number;
  /** How long each client waits before a call, in milliseconds. */
  readonly pause?: number;
}

const Calls = t.type({
  calls: t.number,
  seconds: t.number,
  /** Clients that gave up waiting for a reply. */
  unanswered: t.number,
  /** Connections of idle clients that could be opened. */
  idle: t.number,
  /** Processor time of the clients, in seconds. */
  cpu: t.number,
  /** How long a call took, connecting included, in microseconds. */
  median: t.number,
  p99: t.number,
});
export type Calls = t.TypeOf<typeof Calls>;

/** `retries`: how often the service said that it has too much to do. */
const Allocations = t.type({ calls: t.number, seconds: t.number, median: t.number, p99: t.number, retries: t.number });
export type Allocations = t.TypeOf<typeof Allocations>;

const Hostility = t.type({ registered: t.number, connections: t.number, calls: t.number, stopped: t.number });
/** What one user has got of a service: namespaces, connections with a message each that never ends; calls; stopped processes. */
export type Hostility = t.TypeOf<typeof Hostility>;

const Namespaces = t.array(t.tuple([t.number, t.string]));

/** The first name that `allocate` has allocated for root. */
const USER = 'ns-bench0-0-0';
const REQUEST = JSON.stringify({
  method: 'io.systemd.UserDatabase.GetUserRecord',
  parameters: { userName: USER, service: 'io.systemd.NamespaceResource' },
});

/**
 * Calls GetUserRecord.
 * @param program varlink-load, compiled
 * @param meanwhile looks at the service while the idle clients are still connected
 */
export function getUserRecords(
  program: string,
  { socket, connections, clients, seconds, calls = 0, idle = 0, pause = 0 }: CallsOptions,
  meanwhile: () => void = () => {},
): Promise<Calls> {
  const numbers = [clients, seconds, calls, idle, pause].map(String);
  const how = connections === 'kept' ? 'kept' : 'connect';
  return resultOf([program, socket, how, ...numbers, REQUEST, `"userName":"${USER}"`], Calls, meanwhile);
}

/**
 * Calls AllocateUserRange for namespaces that are made before the clock starts, and live until `meanwhile` is done.
 * @param program allocate-load, compiled
 * @param uid of the first client; the others have those that follow
 * @param each how many namespaces each client has
 */
export function allocate(
  program: string,
  { socket, clients, each, uid }: { socket: string; clients: number; each: number; uid: number },
  meanwhile: () => unknown = () => {},
): Promise<Allocations> {
  return resultOf([program, socket, ...[clients, each, uid].map(String)], Allocations, meanwhile);
}

/**
 * Is a user who takes all that a service lets one have, until `meanwhile` is done.
 * @param program hostile-load, compiled
 */
export function hostile(
  program: string,
  { socket, uid, namespaces, connections }: { socket: string; uid: number; namespaces: number; connections: number },
  meanwhile: (got: Hostility) => unknown,
): Promise<Hostility> {
  return resultOf([program, socket, ...[uid, namespaces, connections].map(String)], Hostility, meanwhile);
}

/**
 * Holds user namespaces alive until `meanwhile` is done, which gets their inodes and ids.
 * @param program hold-namespaces, compiled
 * @param each how many one user has; the first one is `uid`
 */
export async function holdNamespaces(
  program: string,
  { count, uid, each }: { count: number; uid: number; each: number },
  meanwhile: (namespaces: readonly [inode: number, id: string][]) => unknown,
): Promise<void> {
  await resultOf([program, ...[count, uid, each].map(String)], Namespaces, meanwhile);
}

/**
 * Holds connections of one user that say nothing, as far as the service lets it, until `meanwhile` is done.
 * @param program hold-connections, compiled
 * @returns how many were made
 */
export function holdConnections(
  program: string,
  { socket, count, uid }: { socket: string; count: number; uid: number },
  meanwhile: () => unknown,
): Promise<number> {
  return resultOf([program, socket, ...[count, uid].map(String)], t.number, meanwhile);
}
