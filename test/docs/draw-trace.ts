import { join } from 'node:path';
import { writeTrace } from '@sdrx/event';
import { VirtualLoop } from '@sdrx/event/testing';

/**
 * Writes a trace of what the program of docs/trace.md does, but in a world in which always the same happens, so that its picture
 * is always the same.
 */
export async function traceOfPage(folder: string): Promise<string> {
  const path = join(folder, 'page.json');
  using loop = new VirtualLoop();
  const every = (milliseconds: number, priority: number, description: string, busy: number) =>
    loop.time({ every: milliseconds, priority, description }).subscribe(() => loop.busy(busy));
  writeTrace(loop, path).subscribe();
  every(20, -10, 'control', 2);
  every(10, 0, 'measure', 3);
  every(50, 10, 'report', 9);
  const finished = loop.run();
  await loop.advance(119);
  loop.exit();
  await loop.finish();
  await finished;
  return path;
}
