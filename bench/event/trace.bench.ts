// What a dispatch costs while the loop is traced, and while it is not.
import { fileURLToPath } from 'node:url';
import * as t from 'io-ts';
import { resultOf } from '../support/result-of.js';
import { median, range } from '../support/statistics.js';
import { count, printMachine, printTable, times } from '../support/table.js';

const ROUNDS = 9;
const EVENTS = 400_000;

const Result = t.type({ events: t.number, seconds: t.number, cpu: t.number });

const program = fileURLToPath(new URL('ours/trace.js', import.meta.url));
const settings: { name: string; work: string; seconds: number[] }[] = [
  { name: 'not traced', work: 'none', seconds: [] },
  { name: 'each dispatch as a value', work: 'values', seconds: [] },
  { name: 'into a file, /dev/null', work: 'file', seconds: [] },
];

printMachine();
for (let round = 0; round < ROUNDS; round++) {
  for (const { work, seconds } of settings) {
    const result = await resultOf([process.execPath, program, work, String(EVENTS)], Result);
    seconds.push(result.seconds / result.events);
  }
}
const [untraced] = settings.map(({ seconds }) => median(seconds));
const microseconds = (seconds: number) => (seconds * 1e6).toFixed(2);
printTable([
  ['always-on defer', 'µs an event', 'range', 'events per second', 'of not traced'],
  ...settings.map(({ name, seconds }) => {
    const time = median(seconds);
    return [name, microseconds(time), range(seconds, microseconds), count(1 / time), times(time, untraced ?? time)];
  }),
]);
console.log(
  `Medians of ${ROUNDS} runs, each in a process of its own, in turns. A loop that nobody traces asks once a dispatch whether anybody does.`,
);
