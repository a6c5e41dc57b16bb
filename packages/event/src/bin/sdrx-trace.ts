#!/usr/bin/env node
import { createReadStream, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { formatTime, layOut } from '../trace/lanes.js';
import { statisticsTable } from '../trace/statistics.js';
import { drawSvg } from '../trace/svg-picture.js';
import { drawForTerminal } from '../trace/terminal-picture.js';
import type { Dispatch } from '../trace/trace.js';
import { readTrace } from '../trace/trace-format.js';

const HELP = `Usage: sdrx-trace FILE [--svg=FILE] [--from=MS] [--to=MS] [--width=COLUMNS]

Draws what an event loop did, from a file that writeTrace() of @sdrx/event has written: a lane a priority, when
handlers ran and when sources waited for their turn; then what each source took. ui.perfetto.dev reads it, too.

      --svg=FILE         Draw an SVG to FILE, and nothing here
      --from=MS          Begin so many milliseconds after the begin of the trace
      --to=MS            End so many milliseconds after the begin of the trace
      --width=COLUMNS    Draw in so many columns, 40 to 1000, in place of the terminal's
  -h, --help             Show this text

Exit status: 0 if it is drawn, 1 if the file can't be read or written or holds no trace,
2 for a wrong command line.
`;

const FAILED = 1;
const USAGE = 2;

/** Columns where there is no terminal. */
const WIDTH = 100;

class UsageError extends Error {}

interface CommandLine {
  readonly file: string;
  readonly svg: string | undefined;
  readonly from: number | undefined;
  readonly to: number | undefined;
  readonly width: number;
}

/** @returns undefined if help is wanted. @throws UsageError */
function readCommandLine(): CommandLine | undefined {
  const { values, positionals } = parse();
  if (values.help === true) return undefined;
  const [file, ...others] = positionals;
  if (file === undefined || file === '' || others.length > 0) throw new UsageError('one file must be given');
  if (values.svg === '') throw new UsageError('--svg needs a file');
  const from = readNumber('--from', values.from);
  const to = readNumber('--to', values.to);
  if (to !== undefined && to <= (from ?? 0)) throw new UsageError(`--to=${values.to} is not after the begin`);
  const width = readNumber('--width', values.width) ?? process.stdout.columns ?? WIDTH;
  if (values.width !== undefined && !(Number.isInteger(width) && width >= 40 && width <= 1000))
    throw new UsageError(`--width must be a whole number from 40 to 1000, not '${values.width}'`);
  return { file, svg: values.svg, from, to, width };
}

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        svg: { type: 'string' },
        from: { type: 'string' },
        to: { type: 'string' },
        width: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function readNumber(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,12}(\.\d{1,9})?$/.test(text)) throw new UsageError(`${name} must be a number, not '${text}'`);
  return Number(text);
}

async function draw({ file, svg, from, to, width }: CommandLine): Promise<string> {
  const dispatches = await readTrace(
    createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY }),
  );
  const shown = layOut(dispatches, from, to);
  if (shown.lanes.length === 0)
    throw new Error(dispatches.length === 0 ? `${file} has no dispatch` : `${file} has no dispatch then`);
  if (svg !== undefined) {
    writeFileSync(svg, drawSvg(shown));
    return '';
  }
  const { stdout, env } = process;
  const coloured = stdout.isTTY && (env.NO_COLOR ?? '') === '';
  const drawn = shown.lanes.flatMap(({ dispatches }) => dispatches);
  return `${summary(drawn, shown.span)}\n\n${drawForTerminal(shown, width, coloured)}\n${statisticsTable(drawn)}`;
}

function summary(
  dispatches: readonly Dispatch[],
  { begin, end }: { readonly begin: number; readonly end: number },
): string {
  const ran = dispatches.reduce((sum, dispatch) => sum + dispatch.end - dispatch.begin, 0);
  const share = end > begin ? `, ${Math.min((ran / (end - begin)) * 100, 100).toPrecision(2)} % of it in handlers` : '';
  return `${dispatches.length} dispatches in ${formatTime(end - begin)}${share}`;
}

// A reader that has seen enough, as head(1), is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

try {
  const given = readCommandLine();
  process.stdout.write(given === undefined ? HELP : await draw(given));
} catch (error) {
  const hint = error instanceof UsageError ? '; see --help' : '';
  process.stderr.write(`sdrx-trace: ${(error as Error).message}${hint}\n`);
  process.exitCode = error instanceof UsageError ? USAGE : FAILED;
}
