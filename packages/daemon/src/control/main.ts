import { EnvironmentError } from '@sdrx/event';
import { isSystemError } from '@sdrx/linux';
import { parseCommandLine } from '../program/command-line.js';
import { UsageError } from '../program/usage-error.js';
import { COMMANDS } from './commands.js';
import { RUNTIME_DIRECTORY_OPTION } from './registry-view.js';
import { complain } from './say.js';
import { findVerb } from './verb.js';

/** Exit status of a call that makes no sense. */
const EXIT_USAGE = 2;

/** What is done where no command is named. */
const DEFAULT = 'list';

/** @param words the arguments. @returns the exit status */
export async function main(words: readonly string[]): Promise<number> {
  process.stdout.on('error', (error) => {
    // Who reads it may have seen enough.
    if (isSystemError(error, 'EPIPE')) process.exit(0);
    complain(error.message);
    process.exit(1);
  });
  try {
    const { verb, args } = findVerb(words);
    if (verb === undefined) {
      const text = generalHelp(args);
      if (text !== undefined) {
        process.stdout.write(text);
        return 0;
      }
    }
    const command = COMMANDS.find(({ name }) => name === (verb ?? DEFAULT));
    if (command === undefined)
      throw new UsageError(`no such command: '${words.filter((word) => !word.startsWith('-')).join(' ')}'; see --help`);
    return await command.run(args);
  } catch (error) {
    complain(error instanceof Error ? error.message : String(error));
    return error instanceof UsageError || error instanceof EnvironmentError ? EXIT_USAGE : 1;
  }
}

/** The text for `--help` and `--version`. */
function generalHelp(args: readonly string[]): string | undefined {
  if (!args.some((arg) => ['-h', '--help', '--version'].includes(arg))) return undefined;
  const width = Math.max(...COMMANDS.map(({ name }) => name.length)) + 4;
  const commands = COMMANDS.map(({ name, summary }) => `  ${name.padEnd(width)}${summary}`);
  const summary =
    'Gives commands user namespaces with ids of their own, by nsresourced or systemd-nsresourced, and shows what is there.\n\n' +
    `${commands.join('\n')}\n\n'nsresourcectl COMMAND --help' has the options of each. Without a command it is 'list'.`;
  const parsed = parseCommandLine(
    {
      program: 'nsresourcectl',
      summary,
      options: RUNTIME_DIRECTORY_OPTION,
      flags: { json: 'Print JSON, where there is something to show' },
      operands: '[COMMAND]',
    },
    args,
  );
  return typeof parsed === 'string' ? parsed : undefined;
}
