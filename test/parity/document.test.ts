import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { needsLibsystemd } from './interpreters.js';

const document = fileURLToPath(new URL('../../../docs/parity-sd-event.md', import.meta.url));
const text = readFileSync(document, 'utf8');

t.test('every function that libsystemd declares has its row', needsLibsystemd, (t) => {
  const header = readFileSync('/usr/include/systemd/sd-event.h', 'utf8');
  const declared = new Set([...header.matchAll(/\bsd_event_\w+(?=\()/g)].map(([name]) => name));
  t.ok(declared.size > 60);
  const missing = [...declared].filter((name) => !text.includes(`\`${name}\``));
  t.strictSame(missing, []);
  t.end();
});

t.test('the tests that it names exist', (t) => {
  const named = [...text.matchAll(/\]\(\.\.\/([^)]+)\)/g)].map(([, path]) => path ?? '');
  t.ok(named.length > 30);
  const missing = named.filter((path) => !existsSync(fileURLToPath(new URL(`../../../${path}`, import.meta.url))));
  t.strictSame(missing, []);
  t.end();
});
