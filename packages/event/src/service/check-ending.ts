import { checkObject, wrongKind } from '@sdrx/linux';
import type { Ending } from './scope.js';

/** Throws unless a drain is given what a scope gives to its steps. */
export function checkEnding(ending: unknown): asserts ending is Ending {
  checkObject('ending', ending);
  const { signal } = ending as Partial<Ending>;
  if (!(signal instanceof AbortSignal)) throw wrongKind('ending.signal', 'an AbortSignal', signal);
}
