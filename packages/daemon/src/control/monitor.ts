import { EventLoop, exitOnSignal } from '@sdrx/event';
import * as t from 'io-ts';
import { exhaustMap, merge, type Observable, take, tap } from 'rxjs';
import { Path } from '../program/command-line.js';
import { reportPath } from '../program/runtime-directory.js';
import type { Command } from './command.js';
import { type Sample, sampler } from './monitor/sample.js';
import { heading, line, screen } from './monitor/view.js';
import { parseOrHelp } from './parse-or-help.js';
import { RUNTIME_DIRECTORY_OPTION, runtimeDirectoryOf, viewRegistry } from './registry-view.js';
import { formerScreen, otherScreen } from './screen.js';

/** How many samples are kept, more than a terminal is wide. */
const KEPT = 1000;

const Seconds = number('seconds from 0.1 to 3600', (value) => value >= 0.1 && value <= 3600);
const Count = number('a number from 1 on', (value) => Number.isInteger(value) && value >= 1);

const OPTIONS = {
  interval: { value: 'SECONDS', codec: Seconds, description: 'How often it looks (1)' },
  count: { value: 'N', codec: Count, description: 'Ends after so many looks' },
  report: {
    value: 'PATH',
    codec: Path,
    description: 'Where nsresourced tells metrics (report/ in the runtime directory)',
  },
  ...RUNTIME_DIRECTORY_OPTION,
} as const;

/** `nsresourcectl monitor` */
export const monitor: Command = {
  name: 'monitor',
  summary: 'Shows what the daemon does, live: namespaces, workers, calls, latency',
  options: ['--interval=', '--count=', '--report=', '--runtime-directory='],
  async run(args) {
    const parsed = parseOrHelp(
      {
        program: 'nsresourcectl monitor',
        summary: `Shows what the daemon does, as small graphs, until Ctrl-C; where there is no terminal, a line each time.
Every user may; of connections, calls and workers only root is told. The latency is that of a call which it makes itself;
that of each method comes from the daemon's metrics, if it tells them (nsresourced --report=).`,
        options: OPTIONS,
      },
      args,
    );
    if (parsed === undefined) return 0;
    const runtimeDirectory = runtimeDirectoryOf(parsed.values);
    using registry = viewRegistry(runtimeDirectory);
    const { interval = 1, count = Number.POSITIVE_INFINITY, report = reportPath(runtimeDirectory) } = parsed.values;
    const loop = new EventLoop();
    const look = sampler(loop, runtimeDirectory, registry, report);
    const samples = loop
      .time({ after: 0, every: interval * 1000 })
      .pipe(exhaustMap(look), count === Number.POSITIVE_INFINITY ? tap() : take(count));
    const shown = process.stdout.isTTY ? onScreen(samples, runtimeDirectory) : asLines(samples);
    // With its last sample it has done all that was asked for.
    return loop.run(merge(exitOnSignal(loop), shown.pipe(tap({ complete: () => loop.exit(0) }))));
  },
};

function asLines(samples: Observable<Sample>): Observable<Sample> {
  process.stdout.write(heading);
  return samples.pipe(tap((sample) => process.stdout.write(line(sample))));
}

function onScreen(samples: Observable<Sample>, where: string): Observable<Sample> {
  const former: Sample[] = [];
  process.stdout.write(otherScreen);
  process.on('exit', () => process.stdout.write(formerScreen));
  return samples.pipe(
    tap((sample) => {
      former.push(sample);
      if (former.length > KEPT) former.shift();
      process.stdout.write(screen(former, where, process.stdout));
    }),
  );
}

function number(name: string, holds: (value: number) => boolean): t.Type<number, string, unknown> {
  return new t.Type(
    name,
    (input): input is number => typeof input === 'number',
    (input, context) => {
      const value = typeof input === 'string' && /^\d+(\.\d+)?$/.test(input) ? Number(input) : Number.NaN;
      return holds(value) ? t.success(value) : t.failure(input, context);
    },
    String,
  );
}
