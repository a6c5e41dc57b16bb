import Table from 'easy-table';
import { nameOf } from '../core/name-of.js';
import { formatTime } from './lanes.js';
import type { Dispatch } from './trace.js';

/** What is told of all dispatches of sources of one name and priority; times in milliseconds. */
interface Statistics {
  readonly name: string;
  readonly priority: number;
  dispatches: number;
  ran: number;
  longestRun: number;
  longestWait: number;
}

/** A line for each source, the one whose handlers took longest first, below a heading. */
export function statisticsTable(dispatches: readonly Dispatch[]): string {
  const all = new Map<string, Statistics>();
  for (const dispatch of dispatches) {
    const { priority, pending, begin, end } = dispatch;
    const name = nameOf(dispatch);
    const key = `${priority} ${name}`;
    const statistics = all.get(key) ?? { name, priority, dispatches: 0, ran: 0, longestRun: 0, longestWait: 0 };
    statistics.dispatches++;
    statistics.ran += end - begin;
    statistics.longestRun = Math.max(statistics.longestRun, end - begin);
    statistics.longestWait = Math.max(statistics.longestWait, begin - pending);
    all.set(key, statistics);
  }
  const table = new Table();
  const number = Table.number();
  for (const { name, priority, dispatches, ran, longestRun, longestWait } of [...all.values()].sort(
    (a, b) => b.ran - a.ran,
  )) {
    table.cell('SOURCE', name).cell('PRIORITY', priority, number).cell('DISPATCHES', dispatches, number);
    table.cell('RAN', formatTime(ran), Table.padLeft).cell('AT MOST', formatTime(longestRun), Table.padLeft);
    table.cell('WAITED AT MOST', formatTime(longestWait), Table.padLeft).newRow();
  }
  return table.toString();
}
