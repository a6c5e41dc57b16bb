import type { Result, Settings } from './programs/end-threads.js';
import type { Ending } from './programs/ending-thread.js';
import { runNode } from './run-node.js';

/** Each way in which a thread can end, and what its `exit` and `error` events then tell. */
export const endings: Readonly<Record<Ending, string>> = {
  natural: '0',
  disposed: '0',
  exit: '3',
  throw: '1 as asked',
  'throw in a handler': '1 as asked',
  reject: '1 as asked',
  heap: '1 ERR_WORKER_OUT_OF_MEMORY',
  wait: '1',
  'wait without running': '1',
  'wait busy': '1',
  'wait while starting': '1',
  'wait within': '1',
};

export const everyEnding = Object.keys(endings) as Ending[];

/** What is to come of so many rounds of threads that end in every way. */
export function expectedOutcomes(rounds: number): Result['outcomes'] {
  return Object.fromEntries(Object.entries(endings).map(([ending, outcome]) => [`${ending}: ${outcome}`, rounds]));
}

/** Runs `programs/end-threads.ts`; what Node writes about errors goes nowhere. */
export function endThreads(settings: Settings) {
  return runNode('end-threads', [JSON.stringify(settings)], { fds: [null, null, null] });
}
