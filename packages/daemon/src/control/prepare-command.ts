import { writeSync } from 'node:fs';
import { isLeft } from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { parseCommandLine } from '../program/command-line.js';
import { UsageError } from '../program/usage-error.js';
import { ALLOCATE } from './allocate-options.js';
import { openNamespaceOf } from './namespace-holder.js';
import { addNetwork, allocateRange, namespaceRequest } from './namespace-request.js';
import { RUN } from './run-options.js';
import { findVerb } from './verb.js';

const Pid = new t.Type<number, string, unknown>(
  'Pid',
  (input): input is number => typeof input === 'number',
  (input, context) =>
    typeof input === 'string' && /^[1-9]\d{0,9}$/.test(input) ? t.success(Number(input)) : t.failure(input, context),
  String,
);

/** What the shell part of nsresourcectl has told: a process in the namespace, and the one that becomes the command. */
const Environment = t.type({ NSRESOURCECTL_HOLDER: Pid, NSRESOURCECTL_COMMAND: Pid });

/**
 * Gives the namespace of `run` or `allocate` its ids, for the shell part of nsresourcectl to go on.
 * @param words all arguments: options, `--` and the command
 * @returns what the shell has to know, `run`: the first id inside, `allocate`: which descriptor; empty for `--help` and the like
 * @throws UsageError, and Error that says what to do
 */
export function prepareCommand(words: readonly string[], environment: unknown): string {
  const processes = Environment.decode(environment);
  if (isLeft(processes)) throw new UsageError('NSRESOURCECTL_HOLDER and NSRESOURCECTL_COMMAND are for its own use');
  const { NSRESOURCECTL_HOLDER: holder, NSRESOURCECTL_COMMAND: command } = processes.right;
  const separator = words.indexOf('--');
  const { verb, args } = findVerb(words.slice(0, separator));
  const hasCommand = separator < words.length - 1;
  return verb === 'run' ? run(args, hasCommand, holder, command) : allocate(args, hasCommand, holder, command);
}

function run(args: readonly string[], hasCommand: boolean, holder: number, command: number): string {
  const parsed = parseCommandLine(RUN, args);
  if (typeof parsed === 'string') return show(parsed);
  requireCommand(RUN.program, parsed.operands, hasCommand);
  const request = namespaceRequest(parsed.values);
  using user = openNamespaceOf(holder);
  allocateRange(request, user.number, 'run', command);
  if (parsed.flags.has('network')) {
    using network = openNamespaceOf(holder, 'net');
    addNetwork(request, user.number, network.number);
  }
  return String(request.target);
}

function allocate(args: readonly string[], hasCommand: boolean, holder: number, command: number): string {
  const parsed = parseCommandLine(ALLOCATE, args);
  if (typeof parsed === 'string') return show(parsed);
  requireCommand(ALLOCATE.program, parsed.operands, hasCommand);
  using user = openNamespaceOf(holder);
  allocateRange(namespaceRequest(parsed.values), user.number, 'held', command);
  return String(parsed.values.fd ?? 3);
}

function requireCommand(program: string, operands: readonly string[], hasCommand: boolean): void {
  const [first] = operands;
  if (first !== undefined) throw new UsageError(`'${first}' stands before --; see '${program} --help'`);
  if (!hasCommand) throw new UsageError(`there is no command after --; see '${program} --help'`);
}

/** The standard output is the shell's, which waits for what to do. */
function show(text: string): string {
  writeSync(2, text);
  return '';
}
