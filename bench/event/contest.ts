import { fileURLToPath } from 'node:url';
import * as t from 'io-ts';
import { compile } from '../support/compile.js';
import { Folder } from '../support/folder.js';
import { resultOf } from '../support/result-of.js';
import { median, range } from '../support/statistics.js';
import { count, printTable, times } from '../support/table.js';

const ROUNDS = 7;

const Result = t.type({
  events: t.number,
  /** Passed on the wall, and used by the processor, while they were dealt with. */
  seconds: t.number,
  cpu: t.number,
});

/** What is measured: the same on every contestant. */
export interface Work {
  /** What the tables call it. */
  readonly name: string;
  /** What the programs know it by. */
  readonly work: string;
  readonly events: number;
  /** How many sources, signals, children at a time; 1 by default. */
  readonly width?: number;
  /** How many times the rate of the peers ours should have. */
  readonly aim?: { readonly sdEvent?: number; readonly node?: number };
  /** Whether there is something like it in Node; true by default. */
  readonly inNode?: boolean;
  /** What the program in floor/ does of it, which no loop on koffi and RxJS can do without; none by default. */
  readonly floor?: string;
}

/** How a contestant's runs went, an event each. */
export interface Runs {
  readonly seconds: number[];
  readonly cpu: number[];
}

export interface Outcome {
  readonly work: Work;
  readonly ours: Runs;
  readonly sdEvent: Runs;
  /** Empty if Node has nothing like it. */
  readonly node: Runs;
  /** Empty if it is not known what the least is. */
  readonly floor: Runs;
}

/**
 * Has all do all works, each in a process of its own. They take turns, so that all of them meet the same disturbances.
 * @param program the name of the file in ours/, node/ and floor/
 */
export async function contest(program: string, works: readonly Work[]): Promise<Outcome[]> {
  using folder = new Folder();
  const sdEvent = await compile(folder, 'event/sd-event', ['systemd']);
  const script = (whose: string) => [
    process.execPath,
    fileURLToPath(new URL(`${whose}/${program}.js`, import.meta.url)),
  ];
  const outcomes = works.map((work) => ({ work, ours: runs(), sdEvent: runs(), node: runs(), floor: runs() }));
  for (let round = 0; round < ROUNDS; round++) {
    for (const outcome of outcomes) {
      await run(outcome.work, script('ours'), outcome.ours);
      await run(outcome.work, [sdEvent], outcome.sdEvent);
      if (outcome.work.inNode !== false) await run(outcome.work, script('node'), outcome.node);
      if (outcome.work.floor !== undefined) await run(outcome.work, script('floor'), outcome.floor);
    }
  }
  return outcomes;
}

function runs(): Runs {
  return { seconds: [], cpu: [] };
}

async function run({ work, events, width = 1 }: Work, command: readonly string[], runs: Runs): Promise<void> {
  const result = await resultOf([...command, work, String(events), String(width)], Result);
  runs.seconds.push(result.seconds / result.events);
  runs.cpu.push(result.cpu / result.events);
}

/** Prints who was how fast, and what processor time that took. */
export function printOutcomes(outcomes: readonly Outcome[]): void {
  const rate = ({ seconds }: Runs) => (seconds.length === 0 ? '–' : count(1 / median(seconds)));
  const compared = (ours: Runs, peer: Runs, aim?: number) => {
    if (peer.seconds.length === 0) return ['–', ''];
    const ratio = median(peer.seconds) / median(ours.seconds);
    return [times(ratio, 1), aim === undefined ? '' : `≥ ${aim} ×, ${ratio >= aim ? 'met' : 'MISSED'}`];
  };
  printTable([
    ['events per second', 'ours', 'sd-event', 'ratio', 'aim', "Node's own", 'ratio', 'aim'],
    ...outcomes.map(({ work: { name, aim }, ours, sdEvent, node }) => [
      name,
      rate(ours),
      rate(sdEvent),
      ...compared(ours, sdEvent, aim?.sdEvent),
      rate(node),
      ...compared(ours, node, aim?.node),
    ]),
  ]);

  const floors = outcomes.filter(({ floor }) => floor.seconds.length > 0);
  if (floors.length > 0) {
    const ratio = (runs: Runs, peer: Runs) => times(median(peer.seconds) / median(runs.seconds), 1);
    printTable([
      ['events per second', 'the floor', 'of sd-event', 'ours, of the floor', 'what the floor is'],
      ...floors.map(({ work, ours, sdEvent, floor }) => [
        work.name,
        rate(floor),
        ratio(floor, sdEvent),
        ratio(ours, floor),
        work.floor ?? '',
      ]),
    ]);
  }

  const microseconds = (seconds: number) => (seconds * 1e6).toFixed(2);
  const cpu = ({ cpu }: Runs) => (cpu.length === 0 ? '–' : microseconds(median(cpu)));
  const spread = ({ seconds }: Runs) => (seconds.length === 0 ? '–' : range(seconds, microseconds));
  printTable([
    ['µs an event', ...['cpu', 'range'].flatMap((what) => [`ours, ${what}`, `sd-event, ${what}`, `Node, ${what}`])],
    ...outcomes.map(({ work: { name }, ours, sdEvent, node }) => [
      name,
      ...[ours, sdEvent, node].map(cpu),
      ...[ours, sdEvent, node].map(spread),
    ]),
  ]);
  console.log(`Medians of ${ROUNDS} runs, each in a process of its own, all contestants in turns. Warm-up, not measured: a tenth of
the events. cpu: user and system time of the process with all its threads, not of its children. range: by the wall clock.`);
}
