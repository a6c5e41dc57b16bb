import type { RefusalReason } from '@sdrx/varlink';

/** The methods that are counted by name; all others, such as GetInfo, are `other`. */
export const METHODS = [
  'AllocateUserRange',
  'RegisterUserNamespace',
  'AddMountToUserNamespace',
  'AddControlGroupToUserNamespace',
  'AddNetworkToUserNamespace',
  'GetUserRecord',
  'GetGroupRecord',
  'GetMemberships',
  'other',
] as const;

/** How long calls took: each bound, in seconds, counts those that took no longer and longer than the one before. */
export const BOUNDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

/** What clients are refused for; all other reasons are `other`. */
export const REFUSALS = [
  'connections',
  'connectionsPerUser',
  'admit',
  'bar',
  'messageSize',
  'messageDepth',
  'messageFds',
  'messageTime',
  'callsPerUser',
  'callTime',
  'descriptors',
  'other',
] as const satisfies readonly (RefusalReason | 'other')[];

/** How a call ended. */
export const OUTCOMES = ['ok', 'error'] as const;

/*
 * A slot, in words of 64 bits: for each method how often each outcome, the sum of its times in microseconds, and how many calls each
 * bound counts, with those beyond the last one; then for each refusal how often; then how many calls failed by our fault.
 */
const SUM = OUTCOMES.length;
const BUCKETS = SUM + 1;
const METHOD_WORDS = BUCKETS + BOUNDS.length + 1;
const REFUSALS_START = METHODS.length * METHOD_WORDS;
const FAILURES = REFUSALS_START + REFUSALS.length;

/** How many words are counted. */
export const COUNTED_WORDS = FAILURES + 1;

/** The word of an outcome of a method. */
export function outcomeWord(method: number, outcome: number): number {
  return method * METHOD_WORDS + outcome;
}

/** The word of the sum of a method's times. */
export function sumWord(method: number): number {
  return method * METHOD_WORDS + SUM;
}

/** The word of one of a method's buckets: `BOUNDS.length` for what took longest. */
export function bucketWord(method: number, bucket: number): number {
  return method * METHOD_WORDS + BUCKETS + bucket;
}

export function refusalWord(refusal: number): number {
  return REFUSALS_START + refusal;
}

/** The word of calls that failed by our fault. */
export const FAILURES_WORD = FAILURES;
