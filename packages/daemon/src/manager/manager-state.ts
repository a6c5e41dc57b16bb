import { isLeft } from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import type { Ledger } from '../limits/ledger.js';
import { LOG_LEVELS, LOG_TARGETS, type Log, type LogLevel, type LogTarget } from '../program/log.js';

/** What a manager tells the one that takes over from it. What another release does not say is as at a start. */
export type ManagerState = t.TypeOf<typeof State>;

const keyOf = <K extends string>(keys: readonly K[]) =>
  t.keyof(Object.fromEntries(keys.map((key) => [key, null])) as Record<K, null>);

const State = t.partial({
  /** Whether the user namespace interfaces are on. */
  api: t.boolean,
  /** The users who may pass no more descriptors. */
  barred: t.array(t.Int),
  /** As SIGRTMIN+18 has changed them. */
  logLevel: keyOf<LogLevel>(LOG_LEVELS),
  logTarget: keyOf<LogTarget>(LOG_TARGETS),
});

/** What this manager tells the next one. */
export function managerState(api: boolean, ledger: Ledger | undefined, log: Log): ManagerState {
  return { api, barred: ledger?.barred() ?? [], logLevel: log.level, logTarget: log.target } as ManagerState;
}

/** Checks what the former manager tells. Throws TypeError. */
export function readManagerState(value: unknown): ManagerState {
  const decoded = State.decode(value ?? {});
  if (isLeft(decoded)) throw new TypeError(`the former manager speaks otherwise: ${JSON.stringify(value)}`);
  return decoded.right;
}
