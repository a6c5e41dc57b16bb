import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { askService } from '@sdrx/event';
import { isSystemError } from '@sdrx/linux';
import { Path, parseCommandLine } from '../program/command-line.js';
import { Log } from '../program/log.js';
import { runProgram } from '../program/program.js';
import { controlPath, RUNTIME_DIRECTORY } from '../program/runtime-directory.js';
import { UsageError } from '../program/usage-error.js';
import { formatNamespaceEntry } from '../registry/namespace-entry.js';
import { Registry } from '../registry/registry.js';
import { entriesJson, entryDetails, entryTable, findEntry, readRegistry } from '../registry/registry-report.js';

const log = new Log('nsresourcectl');

void runProgram(log, () => {
  const parsed = parseCommandLine(
    {
      program: 'nsresourcectl',
      summary:
        'Shows the user namespaces that nsresourced or systemd-nsresourced has registered.\n\n' +
        '  list                 All of them, a line each (the default)\n' +
        '  show NAME|INODE      One of them\n' +
        '  reload               Has nsresourced start itself anew, from the file that is there by\n' +
        '                       now, and waits for the outcome',
      options: {
        'runtime-directory': { value: 'DIR', codec: Path, description: `Where the registry is (${RUNTIME_DIRECTORY})` },
      },
      flags: { json: 'Print JSON, as the registry has it' },
      operands: '[list | show NAME|INODE | reload]',
    },
    process.argv.slice(2),
  );
  if (typeof parsed === 'string') {
    process.stdout.write(parsed);
    return 0;
  }
  const [verb = 'list', which, ...rest] = parsed.operands;
  const json = parsed.flags.has('json');
  const runtimeDirectory = resolve(parsed.values['runtime-directory'] ?? RUNTIME_DIRECTORY);
  if (verb === 'reload' && which === undefined) return reload(runtimeDirectory);
  if (verb === 'list' && which === undefined) return list(runtimeDirectory, json);
  if (verb === 'show' && which !== undefined && rest.length === 0) return show(runtimeDirectory, which, json);
  throw new UsageError(`no such command: '${parsed.operands.join(' ')}'; see --help`);
});

async function reload(runtimeDirectory: string): Promise<number> {
  const path = controlPath(runtimeDirectory);
  try {
    process.stdout.write(`${await askService(path, 'reload')}\n`);
    return 0;
  } catch (error) {
    if (!isSystemError(error, 'ENOENT', 'ECONNREFUSED')) throw error;
    throw new Error(`no nsresourced is there to be reloaded: nobody listens at ${path}`, { cause: error });
  }
}

/** @throws Error where there is none */
function viewRegistry(runtimeDirectory: string): Registry {
  const registry = Registry.view(runtimeDirectory);
  if (existsSync(registry.directory)) return registry;
  registry[Symbol.dispose]();
  throw new Error(`there is no registry, ${registry.directory}: no daemon has run since the machine was started`);
}

function list(runtimeDirectory: string, json: boolean): number {
  using registry = viewRegistry(runtimeDirectory);
  const { entries, failures } = readRegistry(registry);
  process.stdout.write(json ? entriesJson(entries) : entryTable(entries));
  // To whoever looks; a script that counts lines gets none.
  if (!json && entries.length === 0 && failures.length === 0)
    process.stderr.write('No user namespace is registered.\n');
  for (const failure of failures) log.warning(failure.message);
  return failures.length === 0 ? 0 : 1;
}

function show(runtimeDirectory: string, which: string, json: boolean): number {
  using registry = viewRegistry(runtimeDirectory);
  const entry = findEntry(registry, which);
  if (entry === undefined) {
    log.error(`no user namespace '${which}' is registered`);
    return 1;
  }
  process.stdout.write(json ? `${formatNamespaceEntry(entry)}\n` : entryDetails(entry));
  return 0;
}
