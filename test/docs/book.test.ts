import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { root } from './markdown-pages.js';

/** What the service manager and env(1) say. */
const OTHERS = [
  'Failed to execute',
  'Failed to locate executable nsresourced',
  "env: 'node': No such file or directory",
  'Start request repeated too quickly',
];

/** Parts of messages that are long enough to be told from others. */
const LEAST = 6;

function sources(): string {
  return ['daemon', 'bpf', 'event']
    .flatMap((name) => {
      const folder = join(root, 'packages', name, 'src');
      const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
      return files.map((file) => readFileSync(join(folder, file), 'utf8'));
    })
    .join('\n');
}

t.test('the messages that the book explains are those of the programs', (t) => {
  const all = sources();
  const pages = ['troubleshoot', 'operate'].map((name) =>
    readFileSync(join(root, 'docs', 'book', `${name}.md`), 'utf8'),
  );
  const quoted = pages.flatMap((page) =>
    [...page.matchAll(/^\| (?:[^|`]*`[^`|]+`)+/gm)].flatMap(([cell]) => [...cell.matchAll(/`([^`]+)`/g)]),
  );
  const messages = quoted
    .map(([, message = '']) => message)
    .filter((message) => / /.test(message) && !OTHERS.includes(message));
  t.ok(messages.length > 15, `${messages.length} messages`);
  for (const message of messages) {
    const parts = message.split('…').map((part) =>
      part
        .trim()
        .replaceAll(/^[,':]+|[,':]+$/g, '')
        .trim(),
    );
    for (const part of parts.filter(({ length }) => length >= LEAST))
      t.ok(all.includes(part), `'${part}' of '${message}'`);
  }
  t.end();
});
