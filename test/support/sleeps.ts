import { performance } from 'node:perf_hooks';
import { setTimeout } from 'node:timers/promises';

/**
 * Whether Node's own loop sleeps when nothing happens. It turns some thousand times in a second while V8 collects garbage
 * step by step, which ends; so several looks are taken, and one that finds it asleep is enough.
 */
export async function sleeps(): Promise<boolean> {
  for (let look = 0; look < 20; look++) {
    const before = turns();
    await setTimeout(100);
    if (turns() - before < 20) return true;
  }
  return false;
}

/** How often Node's loop has turned. */
function turns(): number {
  return performance.nodeTiming.uvMetricsInfo.loopCount;
}
