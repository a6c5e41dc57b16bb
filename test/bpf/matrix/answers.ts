import type { Attempt } from './attempts.js';
import { type Kernel, plainly } from './linux.js';
import { describe, type Outcome } from './matrix.js';
import { isRefused, type Lacks } from './rule.js';

/** What the kernel finds missing before the rule is asked, as it does operations that a file system has not. */
const FIRST: readonly Attempt['needs'][] = ['its mount namespace', 'an upper layer'];

/** A cell's right answer; `lacks` is undefined where nothing is registered. */
function rightAnswer(outcome: Outcome, kernel: Kernel, lacks: Lacks | undefined): string {
  const { attempt, mount, isReached, environment } = outcome;
  const plain = plainly(attempt, environment.task, mount, isReached, kernel);
  if (lacks === undefined || !isRefused(attempt.meets, environment.task, mount, lacks)) return plain;
  const isFirst = plain === 'EOPNOTSUPP' || (plain !== 'ok' && FIRST.includes(attempt.needs));
  return isFirst ? plain : 'EPERM';
}

/** The cells with another answer than the right one, a line each. */
export function wrongAnswers(outcomes: readonly Outcome[], kernel: Kernel, lacks: Lacks | undefined): string[] {
  return outcomes.flatMap((outcome) => {
    const expected = rightAnswer(outcome, kernel, lacks);
    return outcome.result === expected ? [] : [`${describe(outcome)}: ${outcome.result}, not ${expected}`];
  });
}
