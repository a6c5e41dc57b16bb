import { resolve } from 'node:path';
import { Path, parseCommandLine } from '../command-line.js';
import { Log } from '../log.js';
import { formatNamespaceEntry } from '../namespace-entry.js';
import { runProgram } from '../program.js';
import { Registry } from '../registry.js';
import { entriesJson, entryDetails, entryTable, findEntry, readRegistry } from '../registry-report.js';
import { RUNTIME_DIRECTORY } from '../runtime-directory.js';
import { UsageError } from '../usage-error.js';

const log = new Log('nsresourcectl');

void runProgram(log, () => {
  const parsed = parseCommandLine(
    {
      program: 'nsresourcectl',
      summary:
        'Shows the user namespaces that nsresourced or systemd-nsresourced has registered.\n\n' +
        '  list                 All of them, a line each (the default)\n' +
        '  show NAME|INODE      One of them',
      options: {
        'runtime-directory': { value: 'DIR', codec: Path, description: `Where the registry is (${RUNTIME_DIRECTORY})` },
      },
      flags: { json: 'Print JSON, as the registry has it' },
      operands: '[list | show NAME|INODE]',
    },
    process.argv.slice(2),
  );
  if (typeof parsed === 'string') {
    process.stdout.write(parsed);
    return 0;
  }
  const [verb = 'list', which, ...rest] = parsed.operands;
  const json = parsed.flags.has('json');
  using registry = Registry.view(resolve(parsed.values['runtime-directory'] ?? RUNTIME_DIRECTORY));
  if (verb === 'list' && which === undefined) return list(registry, json);
  if (verb === 'show' && which !== undefined && rest.length === 0) return show(registry, which, json);
  throw new UsageError(`no such command: '${parsed.operands.join(' ')}'; see --help`);
});

function list(registry: Registry, json: boolean): number {
  const { entries, failures } = readRegistry(registry);
  process.stdout.write(json ? entriesJson(entries) : entryTable(entries));
  for (const failure of failures) log.warning(failure.message);
  return failures.length === 0 ? 0 : 1;
}

function show(registry: Registry, which: string, json: boolean): number {
  const entry = findEntry(registry, which);
  if (entry === undefined) {
    log.error(`no user namespace '${which}' is registered`);
    return 1;
  }
  process.stdout.write(json ? `${formatNamespaceEntry(entry)}\n` : entryDetails(entry));
  return 0;
}
