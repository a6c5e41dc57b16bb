// Subscribes to timers on both alarm clocks and prints how they end as JSON: the clock, and the code and text of its error.
import { EventLoop } from '@sdrx/event';
import { isSystemError } from '@sdrx/linux';

const loop = new EventLoop();
const ends: string[][] = [];
for (const clock of ['realtime-alarm', 'boottime-alarm'] as const) {
  loop.time({ clock, after: 5 }).subscribe({
    complete: () => ends.push([clock, 'complete']),
    error: (error) => ends.push([clock, isSystemError(error) ? String(error.code) : '', String(error)]),
  });
}
// Beside them the others go on.
loop.time({ after: 20 }).subscribe(() => loop.exit());
await loop.run();
process.stdout.write(JSON.stringify(ends.toSorted()));
