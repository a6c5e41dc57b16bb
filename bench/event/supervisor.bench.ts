// How often a supervisor starts a program that ends at once.
import { fileURLToPath } from 'node:url';
import * as t from 'io-ts';
import { resultOf } from '../support/result-of.js';
import { median, range } from '../support/statistics.js';
import { count, printMachine, printTable, times } from '../support/table.js';

const ROUNDS = 7;
const RESTARTS = 400;

const Result = t.type({ events: t.number, seconds: t.number, cpu: t.number });

const contestants = ['ours', 'respawn', 'node'] as const;

/** What was measured of each, a restart. */
function noneYet(): Record<(typeof contestants)[number], number[]> {
  return { ours: [], respawn: [], node: [] };
}

const works = [
  { name: 'output left alone', work: 'inherit' },
  { name: 'a line of output', work: 'lines' },
].map((work) => ({ ...work, seconds: noneYet(), cpu: noneYet() }));

const program = (whose: string) => fileURLToPath(new URL(`supervisor/${whose}.js`, import.meta.url));

printMachine();
for (let round = 0; round < ROUNDS; round++) {
  for (const { work, seconds, cpu } of works) {
    for (const whose of contestants) {
      const command = [process.execPath, program(whose), work, String(RESTARTS)];
      const result = await resultOf(command, Result);
      seconds[whose].push(result.seconds / result.events);
      cpu[whose].push(result.cpu / result.events);
    }
  }
}

printTable([
  ['restarts per second', 'ours', 'respawn', 'ratio', 'child_process', 'ratio'],
  ...works.map(({ name, seconds: { ours, respawn, node } }) => [
    name,
    count(1 / median(ours)),
    count(1 / median(respawn)),
    times(median(respawn), median(ours)),
    count(1 / median(node)),
    times(median(node), median(ours)),
  ]),
]);
const milliseconds = (seconds: number) => (seconds * 1e3).toFixed(2);
printTable([
  ['processor time a restart', 'ours, ms', 'respawn, ms', 'ratio', 'child_process, ms', 'ratio'],
  ...works.map(({ name, cpu: { ours, respawn, node } }) => [
    name,
    milliseconds(median(ours)),
    milliseconds(median(respawn)),
    times(median(respawn), median(ours)),
    milliseconds(median(node)),
    times(median(node), median(ours)),
  ]),
]);
printTable([
  ['ms a restart, range', ...contestants],
  ...works.map(({ name, seconds }) => [name, ...contestants.map((whose) => range(seconds[whose], milliseconds))]),
]);
console.log(`Medians of ${ROUNDS} runs of ${RESTARTS} restarts, each in a process of its own, in turns. No back-off, no limit. Ours runs the
program in a process group of its own, as it does by default, and tells each line; the others tell bytes. child_process: spawn, and
again at 'close', with nothing else that a supervisor does. No aim is set.`);
