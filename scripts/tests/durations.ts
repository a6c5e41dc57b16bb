import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { root } from '../support/root.js';
import type { TestRun } from './progress.js';

/** How long a run takes, in seconds, and how many tests it has. */
export type Duration = readonly [seconds: number, tests: number];

/** By a file's path without `test/` and `.test.ts`, and by `machine/NAME`. */
export type Durations = Readonly<Record<string, Duration>>;

/** As measured once, on two processors: what a fresh clone goes by. `npm test -- --record` writes it anew. */
const table = `${root}/scripts/tests/durations.json`;

/** As measured here by the last run of each. */
const measured = `${root}/node_modules/.cache/sdrx/durations.json`;

/** Of a file that nobody has measured. */
const unknownFile: Duration = [5, 11];

/** Of some tests of a machine. */
const partOfMachine: Duration = [100, 15];

/** Of a machine that nobody has measured. */
const unknownMachine: Duration = [500, 150];

export function readDurations(): Durations {
  return { ...read(table), ...read(measured) };
}

export function durationOf(durations: Durations, { key, kind }: TestRun): Duration {
  if (kind === 'file') return durations[key ?? ''] ?? unknownFile;
  return key === undefined ? partOfMachine : (durations[key] ?? unknownMachine);
}

/**
 * Notes what was measured, for the next time.
 *
 * @param isTable whether it is for fresh clones, too
 */
export function writeDurations(durations: Durations, isTable: boolean): void {
  if (Object.keys(durations).length === 0) return;
  write(measured, { ...read(measured), ...durations });
  if (isTable) write(table, { ...read(table), ...durations });
}

function read(path: string): Durations {
  // These are our own files: one that was broken off is as good as none.
  try {
    return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : {};
  } catch {
    return {};
  }
}

function write(path: string, durations: Durations): void {
  mkdirSync(dirname(path), { recursive: true });
  const lines = Object.entries(durations)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, duration]) => `  ${JSON.stringify(key)}: ${JSON.stringify(duration).replace(',', ', ')}`);
  writeFileSync(path, `{\n${lines.join(',\n')}\n}\n`);
}
