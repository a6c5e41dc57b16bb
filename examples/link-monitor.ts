/**
 * Prints a line for each network interface that is there, and for each that comes, changes or goes.
 *
 *     node examples/dist/link-monitor.js [--json] [--once]
 *
 * The source is one of its own, by `loop.source`. link-monitor/README.md has more.
 */
import { parseArgs } from 'node:util';
import { EventLoop, exitOnSignal } from '@sdrx/event';
import { merge, takeWhile, tap } from 'rxjs';
import type { LinkEvent } from './link-monitor/link-table.js';
import { links } from './link-monitor/links.js';

function describe(event: LinkEvent): string {
  if (event.event === 'complete') return 'complete';
  if (event.event === 'lost') return 'lost: the kernel had no room for some changes; what is there now follows';
  const { index, name, up, carrier } = event;
  return `${event.event} ${index} ${name} ${up ? 'up' : 'down'}${carrier ? ' carrier' : ''}`;
}

try {
  const { values } = parseArgs({
    options: { json: { type: 'boolean', default: false }, once: { type: 'boolean', default: false } },
  });
  const loop = new EventLoop();
  const told = links(loop).pipe(
    takeWhile(({ event }) => !values.once || event !== 'complete'),
    tap({
      next: (event) => console.log(values.json ? JSON.stringify(event) : describe(event)),
      complete: () => loop.exit(),
    }),
  );
  process.exitCode = await loop.run(merge(exitOnSignal(loop), told));
} catch (error) {
  console.error(`link-monitor: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
