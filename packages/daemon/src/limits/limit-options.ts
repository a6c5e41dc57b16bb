import * as t from 'io-ts';
import type { OptionValues } from '../program/command-line.js';
import { SLOTS } from './ledger-format.js';
import { LIMITS, type Limits } from './limits.js';

/** One limit as an option of the command line. */
interface LimitOption {
  readonly value: string;
  readonly codec: t.Type<number, string, unknown>;
  readonly description: string;
}

/** The limits as options: `--max-` and the limit's name. */
export const LIMIT_OPTIONS = {
  'max-connections': limit('N', count(1, 65_536), 'Connections at a time, of all users', LIMITS.connections),
  'max-connections-per-user': limit(
    'N',
    count(1, 65_536),
    'Connections at a time of one user',
    LIMITS.connectionsPerUser,
  ),
  'max-message-size': limit(
    'BYTES',
    bytes(1024, 16 * 1024 * 1024),
    'The longest message; K and M may follow',
    LIMITS.messageSize,
  ),
  'max-message-depth': limit(
    'N',
    count(4, 128),
    'How deep objects and arrays of a message may be nested',
    LIMITS.messageDepth,
  ),
  'max-message-fds': limit('N', count(2, 253), 'Descriptors that may come with a message', LIMITS.messageFds),
  'max-message-time': limit(
    'SECONDS',
    seconds(1, 3600),
    "From a message's first byte to its last; ms, s, min may follow",
    LIMITS.messageTime,
  ),
  'max-calls-per-user': limit('N', count(1, 65_536), 'Calls of one user that are being worked on', LIMITS.callsPerUser),
  'max-calls-per-second': limit(
    'N',
    count(1, 1_000_000),
    'Calls of one user in a second to one worker',
    LIMITS.callsPerSecond,
  ),
  'max-call-time': limit(
    'SECONDS',
    seconds(1, 3600),
    'The longest that a call may take; ms, s, min may follow',
    LIMITS.callTime,
  ),
  'max-namespaces-per-user': limit(
    'N',
    count(1, 16_384),
    'Registered namespaces of one user',
    LIMITS.namespacesPerUser,
  ),
  'max-helpers-per-user': limit(
    'N',
    count(1, 1024),
    "Processes of the daemon within one user's namespaces",
    LIMITS.helpersPerUser,
  ),
  'max-workers': limit('N', count(5, 4096), 'Worker processes', LIMITS.workers),
} as const satisfies Readonly<Record<string, LimitOption>>;

/** The number of a worker's slot. */
export const Slot = count(0, SLOTS - 1);

type LimitOptions = typeof LIMIT_OPTIONS;

/** The limits by their options. */
const BY_OPTION: Readonly<Record<keyof LimitOptions, keyof Limits>> = {
  'max-connections': 'connections',
  'max-connections-per-user': 'connectionsPerUser',
  'max-message-size': 'messageSize',
  'max-message-depth': 'messageDepth',
  'max-message-fds': 'messageFds',
  'max-message-time': 'messageTime',
  'max-calls-per-user': 'callsPerUser',
  'max-calls-per-second': 'callsPerSecond',
  'max-call-time': 'callTime',
  'max-namespaces-per-user': 'namespacesPerUser',
  'max-helpers-per-user': 'helpersPerUser',
  'max-workers': 'workers',
};

/** The limits that an administrator set, and the usual ones for the rest. */
export function limitsOf(values: OptionValues<LimitOptions>): Limits {
  const given = options().flatMap((option) => {
    const value = values[option];
    return value === undefined ? [] : [[BY_OPTION[option], value] as const];
  });
  return { ...LIMITS, ...Object.fromEntries(given) };
}

/** The options that set these limits, as far as they are not the usual ones. */
export function limitArguments(limits: Limits): string[] {
  return options().flatMap((option) => {
    const value = limits[BY_OPTION[option]];
    return value === LIMITS[BY_OPTION[option]] ? [] : [`--${option}=${LIMIT_OPTIONS[option].codec.encode(value)}`];
  });
}

function options(): (keyof LimitOptions)[] {
  return Object.keys(LIMIT_OPTIONS) as (keyof LimitOptions)[];
}

function limit<C extends t.Type<number, string, unknown>>(value: string, codec: C, what: string, usual: number) {
  return { value, codec, description: `${what} (${codec.encode(usual)})` };
}

/** A decimal number within a range. */
function count(least: number, most: number): t.Type<number, string, unknown> {
  return ranged(`a number from ${least} to ${most}`, least, most, { '': 1 }, String);
}

/** A number of bytes, or with K or M of 1024 or 1024² of them. */
function bytes(least: number, most: number): t.Type<number, string, unknown> {
  const name = `bytes from ${formatBytes(least)} to ${formatBytes(most)}`;
  return ranged(name, least, most, { '': 1, K: 1024, M: 1024 * 1024 }, formatBytes);
}

/** A duration in seconds, or with a unit, which becomes milliseconds. */
function seconds(least: number, most: number): t.Type<number, string, unknown> {
  const units = { '': 1000, ms: 1, s: 1000, min: 60_000 };
  return ranged(`seconds from ${least} to ${most}`, least * 1000, most * 1000, units, formatMilliseconds);
}

function ranged(
  name: string,
  least: number,
  most: number,
  units: Readonly<Record<string, number>>,
  format: (value: number) => string,
): t.Type<number, string, unknown> {
  const is = (input: unknown): input is number => Number.isInteger(input) && isBetween(input as number, least, most);
  return new t.Type(
    name,
    is,
    (input, context) => {
      const [, digits, unit = ''] = /^(\d{1,9})([A-Za-z]*)$/.exec(String(input)) ?? [];
      const value = Number(digits) * (units[unit] ?? Number.NaN);
      return is(value) ? t.success(value) : t.failure(input, context);
    },
    format,
  );
}

function isBetween(value: number, least: number, most: number): boolean {
  return value >= least && value <= most;
}

function formatBytes(value: number): string {
  if (value % (1024 * 1024) === 0) return `${value / (1024 * 1024)}M`;
  return value % 1024 === 0 ? `${value / 1024}K` : String(value);
}

function formatMilliseconds(value: number): string {
  return value % 1000 === 0 ? `${value / 1000}s` : `${value}ms`;
}
