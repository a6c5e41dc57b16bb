import { parseArgs } from 'node:util';
import { parseListenAddress } from '@sdrx/event';

/** What the command line says. */
export interface CommandLine {
  readonly listen: string | undefined;
  /** In milliseconds. */
  readonly idle: number | undefined;
  /** How long the new process of a restart may take, in milliseconds. */
  readonly readyWithin: number | undefined;
  readonly pidFile: string | undefined;
  readonly control: string | undefined;
}

/** Throws with one sentence for what is none. */
export function readCommandLine(args = process.argv.slice(2)): CommandLine {
  const option = { type: 'string' } as const;
  const options = { listen: option, idle: option, 'ready-within': option, 'pid-file': option, control: option };
  const {
    listen,
    idle,
    'ready-within': readyWithin,
    'pid-file': pidFile,
    control,
  } = parseArgs({ args, options }).values;
  if (listen !== undefined && parseListenAddress(listen).type !== 'stream') {
    throw new TypeError(`--listen=${listen}: HTTP needs tcp:HOST:PORT or unix:PATH`);
  }
  for (const [name, path] of Object.entries({ 'pid-file': pidFile, control })) {
    if (path === '') throw new TypeError(`--${name} must be a path`);
  }
  return {
    listen,
    idle: milliseconds('idle', idle),
    readyWithin: milliseconds('ready-within', readyWithin),
    pidFile,
    control,
  };
}

function milliseconds(name: string, seconds: string | undefined): number | undefined {
  if (seconds === undefined) return undefined;
  if (!/^\d{1,6}(\.\d+)?$/.test(seconds)) {
    throw new TypeError(`--${name} must be a number of seconds below a million, not '${seconds}'`);
  }
  return Number(seconds) * 1000;
}
