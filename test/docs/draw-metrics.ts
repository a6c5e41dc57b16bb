/*
 * Draws docs/metrics.svg: node test/dist/docs/draw-metrics.js FILE. Starts a daemon with --metrics=, has clients ask it for a minute, more
 * of them from one third to the next, reads the metrics each second, and draws what the dashboard asks for. For root.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { BOUNDS, METHODS } from '@sdrx/daemon';
import { nsresourced } from '../support/daemon.js';
import { Folder } from '../support/folder.js';
import { ask } from '../support/http-clients.js';
import { type ParsedFamily, parsePrometheus, sampleOf } from '../support/prometheus.js';
import { varlinkCall } from '../support/varlink-call.js';

const SECONDS = 60;
const SERVICE = 'io.systemd.NamespaceResource';

/** What a client asks for, in turns. */
const CALLS: readonly (readonly [method: string, parameters: object])[] = [
  ['io.systemd.UserDatabase.GetUserRecord', { uid: 4_000_000_000, service: SERVICE }],
  ['io.systemd.UserDatabase.GetGroupRecord', { gid: 4_000_000_000, service: SERVICE }],
  ['org.varlink.service.GetInfo', {}],
];

/** A line of a chart: a value for each second. */
type Line = readonly [name: string, values: readonly number[]];

interface Chart {
  readonly title: string;
  readonly lines: readonly Line[];
}

const [, , target = 'metrics.svg'] = process.argv;

async function measure(): Promise<Map<string, ParsedFamily>[]> {
  using folder = new Folder();
  const [directory, socketPath] = [folder.join('run'), folder.join('metrics')];
  const args = [
    nsresourced,
    `--runtime-directory=${directory}`,
    '--userns-restrict=off',
    `--metrics=unix:${socketPath}`,
  ];
  const daemon = spawn(process.execPath, [...args, '--max-calls-per-second=1000000'], { stdio: 'ignore' });
  const read = () => ask({ socketPath }, '/metrics').then(parsePrometheus);
  const readings: Map<string, ParsedFamily>[] = [];
  let clients = 1;
  const client = async (number: number): Promise<void> => {
    while (readings.length < SECONDS) {
      const [method, parameters] = CALLS[number % CALLS.length] ?? ['', {}];
      if (number < clients) await varlinkCall(`${directory}/${SERVICE}`, method, parameters).catch(() => undefined);
      else await setTimeout(100);
    }
  };
  while ((await read().catch(() => undefined)) === undefined) await setTimeout(50);
  const all = Array.from({ length: 9 }, (_, number) => client(number));
  while (readings.length < SECONDS) {
    clients = [1, 3, 9][Math.floor((3 * readings.length) / SECONDS)] ?? 0;
    readings.push(await read());
    await setTimeout(1000);
  }
  await Promise.all(all);
  daemon.kill('SIGTERM');
  await once(daemon, 'exit');
  return readings;
}

/** How a counter grew in each second. */
function rate(readings: readonly Map<string, ParsedFamily>[], key: string): number[] {
  const values = readings.map((families) => sampleOf(families, key) ?? 0);
  return values.slice(1).map((value, index) => value - (values[index] ?? 0));
}

/** As histogram_quantile() of Prometheus: within a bucket by its share. */
function quantile(readings: readonly Map<string, ParsedFamily>[], share: number): number[] {
  const edges = [...BOUNDS.map(String), '+Inf'];
  const grown = edges.map((le) =>
    METHODS.map((method) => rate(readings, `nsresourced_call_duration_seconds_bucket{method="${method}",le="${le}"}`)),
  );
  return Array.from({ length: readings.length - 1 }, (_, second) => {
    const upTo = grown.map((methods) => methods.reduce((sum, values) => sum + (values[second] ?? 0), 0));
    const wanted = share * (upTo.at(-1) ?? 0);
    const bucket = upTo.findIndex((count) => count >= wanted);
    const [below, least, most] = [upTo[bucket - 1] ?? 0, BOUNDS[bucket - 1] ?? 0, BOUNDS[bucket] ?? BOUNDS.at(-1) ?? 0];
    const inside = (upTo[bucket] ?? 0) - below;
    return 1000 * (inside === 0 ? least : least + ((most - least) * (wanted - below)) / inside);
  });
}

function charts(readings: readonly Map<string, ParsedFamily>[]): Chart[] {
  const now = (key: string) => readings.slice(1).map((families) => sampleOf(families, key) ?? 0);
  const calls = (method: string, outcome: string) =>
    rate(readings, `nsresourced_calls_total{method="${method}",outcome="${outcome}"}`);
  return [
    {
      title: 'Calls a second',
      lines: [
        ['GetUserRecord', calls('GetUserRecord', 'error')],
        ['GetGroupRecord', calls('GetGroupRecord', 'error')],
        ['GetInfo', calls('other', 'ok')],
      ],
    },
    {
      title: 'How long calls take, in ms',
      lines: [
        ['half', quantile(readings, 0.5)],
        ['99 of 100', quantile(readings, 0.99)],
      ],
    },
    {
      title: 'Connections',
      lines: [
        ['at the moment', now('nsresourced_connections')],
        ['accepted a second', rate(readings, 'nsresourced_connections_accepted_total')],
      ],
    },
    {
      title: 'Workers',
      lines: [
        ['serving', now('nsresourced_workers{state="serving"}')],
        ['starting', now('nsresourced_workers{state="starting"}')],
      ],
    },
  ];
}

const [WIDTH, HEIGHT, MARGIN] = [440, 150, 40] as const;
const COLOURS = ['#3274d9', '#e0752d', '#56a64b'];

function draw({ title, lines }: Chart, index: number): string {
  const most = Math.max(1e-9, ...lines.flatMap(([, values]) => values)) * 1.05;
  const [left, top] = [
    MARGIN + (index % 2) * (WIDTH + 2 * MARGIN),
    MARGIN + Math.floor(index / 2) * (HEIGHT + 2 * MARGIN),
  ];
  const x = (second: number) => (left + (WIDTH * second) / (SECONDS - 2)).toFixed(1);
  const y = (value: number) => (top + HEIGHT * (1 - value / most)).toFixed(1);
  const grid = [0, 0.5, 1].map((part) => {
    const label = (most * part).toPrecision(2).replace(/^(\d+\.?\d*)e\+(\d+)$/, (text) => String(Number(text)));
    return `<path d="M${left} ${y(most * part)}h${WIDTH}" stroke="#ddd"/><text x="${left - 5}" y="${y(most * part)}" text-anchor="end">${label}</text>`;
  });
  const drawn = lines.map(([name, values], number) => {
    const points = values.map((value, second) => `${x(second)},${y(value)}`).join(' ');
    const at = left + number * 140;
    return (
      `<polyline points="${points}" fill="none" stroke="${COLOURS[number]}" stroke-width="1.5"/>` +
      `<path d="M${at} ${top + HEIGHT + 16}h14" stroke="${COLOURS[number]}" stroke-width="3"/><text x="${at + 18}" y="${top + HEIGHT + 20}">${name}</text>`
    );
  });
  return `<text x="${left}" y="${top - 12}" font-weight="bold">${title}</text>${grid.join('')}${drawn.join('')}`;
}

const readings = await measure();
const [width, height] = [2 * (WIDTH + 2 * MARGIN), 2 * (HEIGHT + 2 * MARGIN)];
const parts = charts(readings).map(draw).join('\n');
writeFileSync(
  target,
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">\n` +
    '<title>The metrics of nsresourced under load</title>\n' +
    `<rect width="${width}" height="${height}" fill="#fff"/>\n${parts}\n</svg>\n`,
);
