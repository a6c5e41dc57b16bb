import { checkFunction, checkInteger, checkMethods, checkNumber, checkObject, checkText, wrongKind } from '@sdrx/linux';
import type { RateLimitOptions } from './rate-limit.js';
import type { SourceOptions } from './source.js';

/** @throws TypeError and RangeError for what no source can be given */
export function checkSourceOptions(options: SourceOptions): void {
  const { priority, description, exitOnFailure, prepare, ratelimit } = options;
  if (priority !== undefined && !isObservable(priority)) checkPriority(priority);
  if (description !== undefined) checkText('description', description);
  if (exitOnFailure !== undefined && typeof exitOnFailure !== 'boolean') checkExitOnFailure(exitOnFailure);
  if (prepare !== undefined) checkFunction('prepare', prepare);
  if (ratelimit !== undefined) checkRateLimit(ratelimit);
}

/** For what is an Observable in TypeScript's eyes; another copy of RxJS makes them, too. */
export function checkObservable(name: string, value: unknown): void {
  checkMethods(name, value, 'an Observable', 'subscribe', 'pipe');
}

/** Where a number or an Observable of numbers may be: whether it is the latter. @throws TypeError for another object */
export function isObservable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'subscribe' in value && typeof value.subscribe === 'function';
}

export function checkPriority(priority: unknown): asserts priority is number {
  checkInteger('priority', priority);
}

function checkExitOnFailure(value: unknown): void {
  if (typeof value !== 'number') throw wrongKind('exitOnFailure', 'true, false or an integer', value);
  checkInteger('exitOnFailure', value);
}

function checkRateLimit(ratelimit: RateLimitOptions): void {
  checkObject('ratelimit', ratelimit);
  const { interval, burst, onExpire, leave } = ratelimit;
  checkNumber('ratelimit.interval', interval, Number.MIN_VALUE, Number.MAX_VALUE, 'a number of milliseconds');
  checkInteger('ratelimit.burst', burst, 1);
  if (onExpire !== undefined) checkFunction('ratelimit.onExpire', onExpire);
  if (leave !== undefined) checkObservable('ratelimit.leave', leave);
}
