import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { HEADER, needsLibsystemd } from './interpreters.js';

const docs = new URL('../../../docs/', import.meta.url);
const table = readFileSync(new URL('parity-sd-event.md', docs), 'utf8');
const rows = [...table.matchAll(/^\| `(sd_\w+)` \| (.+) \| (.+) \|$/gm)].map(([, name = '', here, shown]) => {
  return { name, here, shown };
});

t.test('every function that sd-event.h declares has a row', needsLibsystemd, (t) => {
  const declared = readFileSync(HEADER, 'utf8').matchAll(/\b(sd_event_\w+)\(/g);
  const missing = new Set([...declared].map(([, name]) => name));
  for (const { name } of rows) missing.delete(name);
  t.strictSame([...missing], []);
  t.end();
});

t.test('every row has a test that exists, by its name', (t) => {
  t.ok(rows.length > 80);
  t.equal(new Set(rows.map(({ name }) => name)).size, rows.length, 'and no function has two');
  for (const { name, shown = '' } of rows) {
    const [, text = '', path = ''] = /^\[(.+)\]\((.+)\)$/.exec(shown) ?? [];
    const file = fileURLToPath(new URL(path, docs));
    if (!path.startsWith('../test/') || !existsSync(file)) t.fail(`${name}: there is no test ${path}`);
    else if (path.endsWith('.ts')) t.ok(readFileSync(file, 'utf8').includes(text), `${name}: ${text}`);
    else t.ok(path.endsWith(`/${text}.txt`), `${name}: ${text}`);
  }
  t.end();
});
