import { EventLoop } from '@sdrx/event';
import { IN_CREATE, IN_DELETE, IN_MOVED_TO } from '@sdrx/linux';
import { defer, distinctUntilChanged, map, merge, type Observable, of, tap } from 'rxjs';
import { logText } from '../program/log-text.js';
import { formatNamespaceEntry } from '../registry/namespace-entry.js';
import type { Registry } from '../registry/registry.js';
import { entriesJson, entryTable, readRegistry } from '../registry/registry-report.js';
import type { Command } from './command.js';
import { parseOrHelp } from './parse-or-help.js';
import { RUNTIME_DIRECTORY_OPTION, runtimeDirectoryOf, viewRegistry } from './registry-view.js';
import { complain, remark, styled } from './say.js';
import { clearScreen } from './screen.js';

const NONE = 'No user namespace is registered.';

/** Clients register many at a time: one look is enough for what changes within so many milliseconds. */
const PAUSE = 100;

/** `nsresourcectl list` */
export const list: Command = {
  name: 'list',
  summary: 'Shows all registered user namespaces, a line each (the default)',
  options: ['--json', '--watch', '--runtime-directory='],
  async run(args) {
    const parsed = parseOrHelp(
      {
        program: 'nsresourcectl list',
        summary: 'Shows all registered user namespaces, a line each, by name. Every user may.',
        options: RUNTIME_DIRECTORY_OPTION,
        flags: {
          json: 'Print JSON, as the registry has it',
          watch: 'Show them again whenever something has changed; JSON is a line each time',
        },
      },
      args,
    );
    if (parsed === undefined) return 0;
    using registry = viewRegistry(runtimeDirectoryOf(parsed.values));
    const json = parsed.flags.has('json');
    if (!parsed.flags.has('watch')) return showOnce(registry, json);
    const loop = new EventLoop();
    const states = changes(loop, registry.directory).pipe(
      map(() => state(registry, json)),
      distinctUntilChanged(),
    );
    return loop.run(states.pipe(tap((text) => process.stdout.write(text))));
  },
};

function showOnce(registry: Registry, json: boolean): number {
  const { entries, failures } = readRegistry(registry);
  process.stdout.write(json ? entriesJson(entries) : table(entryTable(entries)));
  // To whoever looks; a script that counts lines gets none.
  if (!json && entries.length === 0 && failures.length === 0) remark(NONE);
  for (const failure of failures) complain(failure.message);
  return failures.length === 0 ? 0 : 1;
}

/** Comes at once, and after each change. */
function changes(loop: EventLoop, directory: string): Observable<void> {
  const ratelimit = { interval: PAUSE, burst: 1 };
  // Watched before the first look, so nothing is missed in between.
  const watched = loop.inotify(directory, { mask: IN_CREATE | IN_DELETE | IN_MOVED_TO, ratelimit });
  return merge(
    watched.pipe(map(() => undefined)),
    defer(() => of(undefined)),
  );
}

/** All there is, as it is printed each time. */
function state(registry: Registry, json: boolean): string {
  const { entries, failures } = readRegistry(registry);
  if (json) return `[${entries.map((entry) => formatNamespaceEntry(entry)).join(',')}]\n`;
  const lines = entries.length === 0 && failures.length === 0 ? `${NONE}\n` : table(entryTable(entries));
  const text = [lines, ...failures.map(({ message }) => `${logText(message)}\n`)].join('');
  // Without a terminal, an empty line ends each.
  return process.stdout.isTTY ? `${clearScreen}${text}` : `${text}\n`;
}

/** The heading stands out. */
function table(text: string): string {
  const [heading = '', ...lines] = text.split('\n');
  return text === '' ? '' : [styled(process.stdout, 'bold', heading), ...lines].join('\n');
}
