// Whether a busy loop leaves Node its share, and a busy Node leaves the loop its own.
import { fileURLToPath } from 'node:url';
import * as t from 'io-ts';
import { resultOf } from '../support/result-of.js';
import { median, p99 } from '../support/statistics.js';
import { count, printMachine, printTable } from '../support/table.js';

const ROUNDS = 7;

const Result = t.type({
  /** In microseconds. */
  delays: t.record(t.string, t.array(t.number)),
  /** Events per second of what keeps the loop and Node busy. */
  rates: t.type({ loop: t.number, node: t.number }),
});
type Result = t.TypeOf<typeof Result>;

const probes = fileURLToPath(new URL('ours/probes.js', import.meta.url));
const settings: { name: string; busy: readonly string[]; results: Result[] }[] = [
  { name: 'idle', busy: [], results: [] },
  { name: 'busy loop', busy: ['loop'], results: [] },
  { name: 'busy Node', busy: ['node'], results: [] },
  { name: 'both busy', busy: ['loop', 'node'], results: [] },
];

printMachine();
for (let round = 0; round < ROUNDS; round++) {
  for (const { busy, results } of settings) results.push(await resultOf([process.execPath, probes, ...busy], Result));
}

const names = Object.keys(settings[0]?.results[0]?.delays ?? {});
const late = (results: readonly Result[], probe: string) => {
  const values = results.flatMap(({ delays }) => delays[probe] ?? []);
  return [count(median(values)), count(p99(values))];
};
printTable([
  ['late, µs', ...settings.flatMap(({ name }) => [name, '99 %'])],
  ...names.map((probe) => [probe, ...settings.flatMap(({ results }) => late(results, probe))]),
]);

const rate = (results: readonly Result[], whose: 'loop' | 'node') => {
  const value = median(results.map(({ rates }) => rates[whose]));
  return value === 0 ? '–' : count(value);
};
printTable([
  ['events per second', ...settings.slice(1).map(({ name }) => name)],
  ['always-on defer', ...settings.slice(1).map(({ results }) => rate(results, 'loop'))],
  ['chain of setImmediate', ...settings.slice(1).map(({ results }) => rate(results, 'node'))],
]);
console.log(`Medians of ${ROUNDS} runs, each in a process of its own; with the 99th percentile. busy loop: an always-on defer source. busy Node: a
setImmediate that sets the next one. The loop gives Node a turn after a millisecond, which is what its part of Node's
work has to wait for. No aim is set.`);
