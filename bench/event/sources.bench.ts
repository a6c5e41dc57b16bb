// Whether a loop with many sources is slower than one with few.
import { median } from '../support/statistics.js';
import { count, printMachine, printTable, times } from '../support/table.js';
import { contest, type Outcome } from './contest.js';

const WIDTHS = [1, 10, 100_000];
/** Descriptors are limited, often to 20,000. */
const DESCRIPTOR_WIDTHS = [1, 10, 10_000];

const works = [
  { name: 'add and remove a timer', program: 'sources', work: 'add-time', events: 200_000, widths: WIDTHS },
  { name: 'add and remove a defer', program: 'sources', work: 'add-defer', events: 500_000, widths: WIDTHS },
  { name: 'add and remove an io', program: 'sources', work: 'add-io', events: 20_000, widths: DESCRIPTOR_WIDTHS },
  { name: 'set a timer and get it', program: 'timers', work: 'timer', events: 5_000, widths: WIDTHS },
  { name: 'a defer, all always on', program: 'dispatch', work: 'defer', events: 500_000, widths: WIDTHS },
  { name: 'an eventfd by its handler', program: 'io', work: 'io', events: 30_000, widths: DESCRIPTOR_WIDTHS },
];

printMachine();
const rows: string[][] = [];
for (const { name, program, work, events, widths } of works) {
  const outcomes = await contest(
    program,
    widths.map((width) => ({ name, work, events, width, inNode: false })),
  );
  const [, few = 1, many = 1] = widths;
  const allowed = Math.log(many) / Math.log(few);
  const ours = costs(outcomes, 'ours');
  const sdEvent = costs(outcomes, 'sdEvent');
  const aim = `≤ ${allowed.toFixed(0)} ×, ${growth(ours) <= allowed ? 'met' : 'MISSED'}`;
  const cells = (values: readonly number[]) => [...values.map((value) => value.toFixed(2)), times(growth(values), 1)];
  rows.push([name, count(many), ...cells(ours), aim, ...cells(sdEvent)]);
}

const columns = (whose: string) => [`${whose}, 1`, '10', 'many', 'growth'];
printTable([['processor time, µs', 'many', ...columns('ours'), 'aim', ...columns('sd-event')], ...rows]);
console.log(`Medians of 7 runs, by the number of sources in the loop, of which one is at work and the others are idle where nothing
else is said. growth: from 10 sources to many; the aim is that of the logarithm. To add is to subscribe or sd_event_add_*,
to remove is to unsubscribe or sd_event_source_unref.`);

/** In microseconds. */
function costs(outcomes: readonly Outcome[], whose: 'ours' | 'sdEvent'): number[] {
  return outcomes.map((outcome) => median(outcome[whose].cpu) * 1e6);
}

function growth([, few = Number.NaN, many = Number.NaN]: readonly number[]): number {
  return many / few;
}
