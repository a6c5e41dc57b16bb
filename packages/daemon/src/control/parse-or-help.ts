import { type CommandLine, type Options, type ParsedCommandLine, parseCommandLine } from '../program/command-line.js';
import { UsageError } from '../program/usage-error.js';

/**
 * Reads a command's arguments.
 * @param operands how many there may be beside the options, at least and at most
 * @returns undefined where a text was asked for, which is printed then: there is nothing more to do
 * @throws UsageError
 */
export function parseOrHelp<const O extends Options>(
  commandLine: CommandLine<O>,
  args: readonly string[],
  operands: readonly [least: number, most: number] = [0, 0],
): ParsedCommandLine<O> | undefined {
  const parsed = parseCommandLine(commandLine, args);
  if (typeof parsed === 'string') {
    process.stdout.write(parsed);
    return undefined;
  }
  const [least, most] = operands;
  const count = parsed.operands.length;
  if (count >= least && count <= most) return parsed;
  const wrong = count < least ? 'something is missing' : `'${parsed.operands[most]}' is one too many`;
  throw new UsageError(`${wrong}; see '${commandLine.program} --help'`);
}
