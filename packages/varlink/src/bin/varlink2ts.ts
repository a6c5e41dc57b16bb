#!/usr/bin/env node
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { callOnce } from '../connect.js';
import { parseInterface } from '../idl/parse-interface.js';
import { typescriptOf } from '../idl/typescript.js';
import { isConstantName } from '../idl/typescript-names.js';
import { varlinkService } from '../service-interface.js';

const HELP = `Usage: varlink2ts FILE [OPTION...]
       varlink2ts ADDRESS INTERFACE [OPTION...]

Makes a TypeScript module of a Varlink interface, for calls and handlers with types: from its text in FILE (- is
the standard input), or as the service at ADDRESS tells it: a path, unix:@NAME, tcp:HOST:PORT, exec:/PROGRAM
or ssh-unix:HOST:/PATH.

      --output=FILE      Write to FILE, and not to the standard output
      --name=NAME        Call the constant NAME; otherwise it is called after the last part of the interface's name
  -h, --help             Show this text

Exit status: 0 if the module is made, 1 if there is no such interface or its text can't be understood,
2 for a wrong command line.
`;

const FAILED = 1;
const USAGE = 2;

class UsageError extends Error {}

interface CommandLine {
  /** Where the text is: a file, or an interface of a service. */
  readonly source: { readonly file: string } | { readonly address: string; readonly name: string };
  readonly output: string | undefined;
  readonly name: string | undefined;
}

/** @returns undefined if help is wanted. @throws UsageError */
function readCommandLine(): CommandLine | undefined {
  const { values, positionals } = parse();
  if (values.help === true) return undefined;
  const [first, second, ...others] = positionals;
  if (first === undefined || first === '' || second === '' || others.length > 0)
    throw new UsageError('a file must be given, or an address and an interface');
  if (values.output === '') throw new UsageError('--output needs a file');
  if (values.name !== undefined && !isConstantName(values.name))
    throw new UsageError(`--name must be an identifier that the module does not need itself, not '${values.name}'`);
  const source = second === undefined ? { file: first } : { address: first, name: second };
  return { source, output: values.output, name: values.name };
}

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: { output: { type: 'string' }, name: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

async function ask(address: string, name: string): Promise<string> {
  const { GetInterfaceDescription } = varlinkService.methods;
  const { parameters } = await callOnce(address, GetInterfaceDescription, { interface: name });
  return parameters.description;
}

async function run({ source, output, name }: CommandLine): Promise<void> {
  const isFile = 'file' in source;
  const text = isFile
    ? readFileSync(source.file === '-' ? 0 : source.file, 'utf8')
    : await ask(source.address, source.name);
  const module = typescriptOf(parseInterface(text), { name });
  if (output === undefined) process.stdout.write(module);
  else writeFileSync(output, module);
}

function messageOf(error: unknown, given: CommandLine | undefined): string {
  if (error instanceof UsageError) return `${error.message}; see --help`;
  const { message } = error as Error;
  if (given === undefined) return message;
  if ('file' in given.source) return isSystemCall(error) ? message : `${given.source.file}: ${message}`;
  const { address, name } = given.source;
  return varlinkService.errors.InterfaceNotFound.is(error)
    ? `the service at ${address} has no interface ${name}`
    : `${name} at ${address}: ${message}`;
}

/** Node names the file in such an error itself. */
function isSystemCall(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'syscall' in error;
}

let given: CommandLine | undefined;
try {
  given = readCommandLine();
  if (given === undefined) process.stdout.write(HELP);
  else await run(given);
} catch (error) {
  process.stderr.write(`varlink2ts: ${messageOf(error, given)}\n`);
  process.exitCode = error instanceof UsageError ? USAGE : FAILED;
}
