/** Says how long events took. */
class Stopwatch {
  readonly #began = process.hrtime.bigint();
  readonly #cpu = process.cpuUsage();

  /** Prints what `contest.ts` reads: wall-clock and processor time in seconds. */
  print(events: number): void {
    const seconds = Number(process.hrtime.bigint() - this.#began) / 1e9;
    const { user, system } = process.cpuUsage(this.#cpu);
    console.log(JSON.stringify({ events, seconds, cpu: (user + system) / 1e6 }));
  }
}

/**
 * For a work that goes on and on.
 * @param done ends it
 * @returns counts an event: first a tenth of `events` to warm up, then those that are measured
 */
export function meter(events: number, done: () => void): () => void {
  let left = events / 10;
  let stopwatch: Stopwatch | undefined;
  return () => {
    if (--left > 0) return;
    if (stopwatch === undefined) {
      left = events;
      stopwatch = new Stopwatch();
    } else {
      // More may come before the end.
      left = Number.POSITIVE_INFINITY;
      stopwatch.print(events);
      done();
    }
  };
}

/** For a work that has an end: a round of a tenth of `events` to warm up, then the one that is measured. */
export async function rounds(events: number, round: (count: number) => unknown): Promise<void> {
  await round(events / 10);
  const stopwatch = new Stopwatch();
  await round(events);
  stopwatch.print(events);
}

/** When the `index`th timer is due, in milliseconds: times that are evenly spread over 200 ms but come in no order. */
export function spread(index: number): number {
  return ((index * 7919) % 200_000) / 1000;
}

/** What a program of a contest is called with: WORK EVENTS [WIDTH]. */
export function task(): { work: string; events: number; width: number } {
  const [work = '', events, width = 1] = process.argv.slice(2);
  return { work, events: Number(events), width: Number(width) };
}
