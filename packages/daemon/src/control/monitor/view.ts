import type { Output } from '../say.js';
import { styled } from '../say.js';
import { clearBelow, clearLine, toTop } from '../screen.js';
import { graph } from './graph.js';
import type { Sample } from './sample.js';

/** What is measured: as a line of text has it, and on a screen with a graph. */
interface Column {
  readonly head: string;
  readonly label: string;
  readonly value: (sample: Sample) => number | undefined;
  readonly digits: number;
}

const COLUMNS: readonly Column[] = [
  { head: 'NAMESPACES', label: 'namespaces', value: ({ namespaces }) => namespaces, digits: 0 },
  { head: 'WORKERS', label: 'workers', value: ({ workers }) => workers && total(workers), digits: 0 },
  { head: 'CONNECTIONS', label: 'connections', value: ({ connections }) => connections, digits: 0 },
  { head: 'NEW/S', label: 'new connections/s', value: ({ accepted }) => accepted, digits: 0 },
  { head: 'CALLS', label: 'calls at work', value: ({ calls }) => calls, digits: 0 },
  {
    head: 'CALLS/S',
    label: 'calls/s',
    value: ({ methods }) => methods && sum(methods.map(({ rate }) => rate)),
    digits: 0,
  },
  { head: 'LATENCY-MS', label: 'latency, ms', value: ({ latency }) => latency, digits: 1 },
  { head: 'CPU%', label: 'processor, %', value: ({ cpu }) => cpu, digits: 0 },
  { head: 'MEMORY-MB', label: 'memory, MB', value: ({ memory }) => memory && memory / 1e6, digits: 0 },
];

const LABEL = Math.max(...COLUMNS.map(({ label }) => label.length));
const VALUE = 8;

/** How many owners of namespaces are shown. */
const OWNERS = 5;

function total(workers: NonNullable<Sample['workers']>): number {
  return sum(Object.values(workers));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function text({ value, digits }: Column, sample: Sample): string {
  return value(sample)?.toFixed(digits) ?? '-';
}

/** The heading of lines. */
export const heading = `${'TIME'.padEnd(8)} ${COLUMNS.map(({ head }) => head).join(' ')} METHODS-MS SLOW\n`;

/** A sample as one line. */
export function line(sample: Sample): string {
  const values = COLUMNS.map((column) => text(column, sample).padStart(column.head.length));
  const methods = sample.methods?.map(({ method, latency }) => `${method}=${latency.toFixed(2)}`).join(',');
  return `${clock(sample.at)} ${values.join(' ')} ${methods || '-'} ${sample.slow.join('; ') || '-'}\n`;
}

/**
 * The whole screen, written over the one before.
 * @param samples the last one is now
 */
export function screen(
  samples: readonly Sample[],
  where: string,
  output: Output & { readonly columns?: number },
): string {
  const now = samples.at(-1);
  if (now === undefined) return '';
  // A terminal that does not know its size has none.
  const width = Math.max(0, (output.columns || 80) - LABEL - VALUE - 3);
  const graphs = COLUMNS.map((column) => {
    const drawn = graph(samples.map(column.value), width);
    return `${column.label.padEnd(LABEL)} ${text(column, now).padStart(VALUE)}  ${styled(output, 'green', drawn)}`;
  });
  const slow = now.slow.length === 0 ? ['nothing is slow'] : now.slow.map((what) => styled(output, 'red', what));
  const lines = [
    `${styled(output, 'bold', where)}  ${clock(now.at)}  ${conditions(now)}`,
    '',
    ...graphs,
    '',
    ...slow,
    ...methods(now, output),
    ...owners(now, output),
  ];
  return `${toTop}${lines.map((line) => `${line}${clearLine}\n`).join('')}${clearBelow}`;
}

function conditions({ manager, workers }: Sample): string {
  if (manager === undefined) return 'no nsresourced is seen to run';
  if (workers === undefined) return `process ${manager}; of its workers only root is told`;
  const counts = Object.entries(workers).filter(([, count]) => count > 0);
  return `process ${manager}, workers: ${counts.map(([condition, count]) => `${count} ${condition}`).join(', ') || 'none'}`;
}

/** Each method that was called, so often a second, taking so long on average. */
function methods({ methods = [] }: Sample, output: Output): string[] {
  if (methods.length === 0) return [];
  const width = Math.max(...methods.map(({ method }) => method.length));
  const row = (name: string, rate: string, latency: string) =>
    `${name.padEnd(width)} ${rate.padStart(8)} ${latency.padStart(8)}`;
  const rows = methods.map(({ method, rate, latency }) => row(method, rate.toFixed(1), latency.toFixed(2)));
  return ['', styled(output, 'bold', row('METHOD', 'CALLS/S', 'MEAN-MS')), ...rows];
}

function owners({ owners }: Sample, output: Output): string[] {
  if (owners.length === 0) return [];
  const rows = owners
    .slice(0, OWNERS)
    .map(([uid, count]) => `${String(uid).padStart(10)} ${String(count).padStart(11)}`);
  return ['', styled(output, 'bold', `${'OWNER'.padStart(10)} ${'NAMESPACES'.padStart(11)}`), ...rows];
}

function clock(at: Date): string {
  return at.toTimeString().slice(0, 8);
}
