import { formatNamespaceEntry, type NamespaceEntry } from '../registry/namespace-entry.js';
import type { Registry } from '../registry/registry.js';
import { entryDetails, findEntries } from '../registry/registry-report.js';
import type { Command } from './command.js';
import { parseOrHelp } from './parse-or-help.js';
import { RUNTIME_DIRECTORY_OPTION, runtimeDirectoryOf, viewRegistry } from './registry-view.js';

/** `nsresourcectl show` */
export const show: Command = {
  name: 'show',
  summary: 'Shows all that is known of one, by its name, its inode, or an id lent to it',
  options: ['--json', '--runtime-directory='],
  operand: 'namespace',
  run(args) {
    const parsed = parseOrHelp(
      {
        program: 'nsresourcectl show',
        summary: 'Shows all that is known of a user namespace: by its name, its inode, or any of the ids lent to it.',
        options: RUNTIME_DIRECTORY_OPTION,
        flags: { json: 'Print JSON, as the registry has it' },
        operands: 'NAME|INODE|UID',
      },
      args,
      [1, 1],
    );
    if (parsed === undefined) return 0;
    using registry = viewRegistry(runtimeDirectoryOf(parsed.values));
    const entries = requireEntries(registry, parsed.operands[0] ?? '');
    const texts = entries.map((entry) =>
      parsed.flags.has('json') ? `${formatNamespaceEntry(entry)}\n` : entryDetails(entry),
    );
    process.stdout.write(texts.join(parsed.flags.has('json') ? '' : '\n'));
    return 0;
  },
};

/** What is meant, the innermost last. @throws Error where there is none */
function requireEntries(registry: Registry, which: string): readonly NamespaceEntry[] {
  const entries = findEntries(registry, which);
  if (entries.length === 0) throw new Error(`no user namespace '${which}' is registered`);
  return entries;
}
