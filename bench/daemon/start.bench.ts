// How long nsresourced takes to start, against Node itself and systemd-nsresourced.
import { readFileSync } from 'node:fs';
import { isLeft } from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { compile } from '../support/compile.js';
import { Debian } from '../support/debian.js';
import { Folder } from '../support/folder.js';
import { run } from '../support/run.js';
import { environment, ours, type ServiceProgram, systemd } from '../support/service.js';
import { median, range } from '../support/statistics.js';
import { count, printMachine, printTable, times } from '../support/table.js';

/** Programs take turns, so that all of them meet the same disturbances. */
const ROUNDS = 5;
const RUNS_A_ROUND = 3;
const MEMORY_RUNS = 7;

/** How many times as long as `node -e 0`. */
const AIM = 3;

const Report = t.type({ results: t.array(t.type({ times: t.array(t.number) })) });

process.env.PATH = environment.PATH;
printMachine();
using folder = new Folder();
await using debian = await Debian.enter(folder);
const untilReady = await compile(folder, 'support/until-ready');
const lock = folder.join('lock');

const node = ['node', '-e', '0'];
const ready = ({ command }: ServiceProgram, ...options: string[]) => [untilReady, ...options, lock, ...command];
const answer = (program: ServiceProgram) => ready(program, '-a', program.socket);
const programs = [ours(folder), systemd(debian)];
const subjects = [
  { name: 'node -e 0, start to end', command: node, memory: node },
  ...programs.map((program) => ({
    name: `${program.name}, start to READY=1`,
    command: ready(program),
    memory: ready(program, '-w'),
  })),
  ...programs.map((program) => ({
    name: `${program.name}, start to first answer`,
    command: answer(program),
    memory: undefined,
  })),
];

const measured = subjects.map((): number[] => []);
for (let round = 0; round < ROUNDS; round++) {
  const report = folder.join('hyperfine.json');
  const numbers = ['--warmup', '1', '--runs', String(RUNS_A_ROUND), '--export-json', report];
  // The lock is held until every process of the run before is gone.
  const options = ['-N', '--style', 'none', ...numbers, '--prepare', `flock ${quote(lock)} true`];
  await run(['hyperfine', ...options, ...subjects.map(({ command }) => command.map(quote).join(' '))]);
  const { results } = decode(readFileSync(report, 'utf8'));
  results.forEach(({ times: seconds }, index) => {
    measured[index]?.push(...seconds.map((value) => value * 1000));
  });
}

const peaks: number[] = [];
for (const { memory } of subjects) {
  const values: number[] = [];
  for (let index = 0; memory !== undefined && index < MEMORY_RUNS; index++) values.push(await peakMemory(memory));
  peaks.push(values.length > 0 ? median(values) : 0);
}

const base = median(measured[0] ?? []);
const milliseconds = (value: number) => value.toFixed(1);
const rows = subjects.map(({ name }, index) => {
  const values = measured[index] ?? [];
  const peak = peaks[index] ?? 0;
  const time = median(values);
  const aim = name.startsWith('sdrx') ? `≤ ${AIM} ×, ${time <= AIM * base ? 'met' : 'MISSED'}` : '';
  return [
    name,
    milliseconds(time),
    range(values, milliseconds),
    times(time, base),
    aim,
    peak === 0 ? '' : `${count(peak / 1024)} MB`,
  ];
});
printTable([['', 'median ms', 'range', 'to node -e 0', 'aim', 'largest process'], ...rows]);
console.log(`Medians of ${ROUNDS * RUNS_A_ROUND} runs by hyperfine, in turns. systemd's include 1 ms of nsenter(1).
First answer: of any worker, to a call that was sent right after READY=1.
Largest process: greatest resident set of one process until the service has stopped again, by time(1), median of ${MEMORY_RUNS};
with files that all Node processes share. What is their own shows memory.bench.`);

function decode(text: string): t.TypeOf<typeof Report> {
  const report = Report.decode(JSON.parse(text));
  if (isLeft(report)) throw new Error('hyperfine reports in another form than it used to');
  return report.right;
}

/** In kilobytes. */
async function peakMemory(command: readonly string[]): Promise<number> {
  const output = folder.join('time');
  await run(['flock', lock, 'true']);
  await run(['/usr/bin/time', '--format=%M', `--output=${output}`, ...command]);
  return Number(readFileSync(output, 'utf8'));
}

/** hyperfine splits a command at spaces unless they are quoted. */
function quote(argument: string): string {
  return `'${argument.replaceAll("'", `'\\''`)}'`;
}
