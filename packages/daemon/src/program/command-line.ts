import { parseArgs } from 'node:util';
import { isLeft } from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { UsageError } from './usage-error.js';
import { VERSION } from './version.js';

/** An option with a value, `--name=VALUE`. */
export interface Option {
  readonly value: string;
  readonly codec: t.Decoder<unknown, unknown>;
  /** One or more lines for `--help`. */
  readonly description: string;
}

export type Options = Readonly<Record<string, Option>>;
export type OptionValues<O extends Options> = {
  readonly [K in keyof O]?: O[K]['codec'] extends t.Decoder<unknown, infer A> ? A : never;
};

export interface CommandLine<O extends Options> {
  readonly program: string;
  readonly summary: string;
  readonly options: O;
  /** Options without a value, by their descriptions. */
  readonly flags?: Readonly<Record<string, string>>;
  /** What the arguments beside the options are, for `--help`; without it none are taken. */
  readonly operands?: string;
}

export interface ParsedCommandLine<O extends Options> {
  readonly values: OptionValues<O>;
  /** Those that were given. */
  readonly flags: ReadonlySet<string>;
  readonly operands: readonly string[];
}

/**
 * Reads the arguments of a program.
 * @returns a text to print instead of running, for `--help` and `--version`, or what was given
 * Throws UsageError, which names the argument at fault.
 */
export function parseCommandLine<const O extends Options>(
  commandLine: CommandLine<O>,
  args: readonly string[],
): string | ParsedCommandLine<O> {
  const { options, flags = {}, operands } = commandLine;
  const config = {
    ...Object.fromEntries(Object.keys(options).map((name) => [name, { type: 'string' as const }])),
    ...Object.fromEntries(Object.keys(flags).map((name) => [name, { type: 'boolean' as const }])),
    help: { type: 'boolean', short: 'h' },
    version: { type: 'boolean' },
  } as const;
  const { values, positionals } = parse(args, config, operands !== undefined);
  if (values.help) return helpText(commandLine);
  if (values.version) return `${commandLine.program} ${VERSION}\n`;
  const given = Object.entries(values);
  const decoded = given.flatMap(([name, value]) => {
    if (value === true) return [];
    const option = options[name];
    const result = option?.codec.decode(value);
    if (option === undefined || result === undefined || isLeft(result)) {
      throw new UsageError(`--${name} takes ${option?.codec.name ?? 'no value'}, not '${String(value)}'`);
    }
    return [[name, result.right] as const];
  });
  return {
    values: Object.fromEntries(decoded) as OptionValues<O>,
    flags: new Set(given.flatMap(([name, value]) => (value === true ? [name] : []))),
    operands: positionals,
  };
}

function parse(
  args: readonly string[],
  options: Readonly<Record<string, { readonly type: 'string' | 'boolean'; readonly short?: string }>>,
  allowPositionals: boolean,
) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals, strict: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function helpText<O extends Options>({ program, summary, options, flags = {}, operands }: CommandLine<O>): string {
  const rows: (readonly [string, string])[] = Object.entries(options).map(([name, { value, description }]) => [
    `--${name}=${value}`,
    description,
  ]);
  for (const [name, description] of Object.entries(flags)) rows.push([`--${name}`, description]);
  rows.push(['-h, --help', 'Show this text'], ['--version', 'Show the version']);
  const width = Math.max(...rows.map(([name]) => name.length)) + 4;
  const lines = rows.flatMap(([name, description]) =>
    description.split('\n').map((line, index) => `  ${(index === 0 ? name : '').padEnd(width)}${line}`),
  );
  const usage = [program, '[OPTIONS...]', operands].filter((part) => part !== undefined).join(' ');
  return `Usage: ${usage}\n\n${summary}\n\n${lines.join('\n')}\n`;
}

/** A path, from here or absolute; not empty. */
export const Path = refinedString('a path', (text) => text !== '' && !text.includes('\0'));

/** One of these words. */
export function oneOf<const W extends readonly string[]>(words: W): t.Type<W[number], string, unknown> {
  const is = (input: unknown): input is W[number] => words.includes(input as string);
  return new t.Type(
    words.join(' or '),
    is,
    (input, context) => (is(input) ? t.success(input) : t.failure(input, context)),
    t.identity,
  );
}

function refinedString(name: string, holds: (text: string) => boolean): t.Type<string, string, unknown> {
  const is = (input: unknown): input is string => typeof input === 'string' && holds(input);
  return new t.Type(
    name,
    is,
    (input, context) => (is(input) ? t.success(input) : t.failure(input, context)),
    t.identity,
  );
}
