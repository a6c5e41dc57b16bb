import { existsSync, readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { programPath } from '../support/program-path.js';

const folder = programPath('../../../examples', import.meta.url);
const names = readdirSync(folder)
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.slice(0, -'.ts'.length));

t.test('every example is in the table and has a test', async (t) => {
  const table = readFileSync(`${folder}/README.md`, 'utf8');
  const listed = [...table.matchAll(/^\| \[`(.*)\.ts`\]\((.*)\.ts\) \|/gm)];
  t.strictSame(listed.map(([, name]) => name).sort(), names.sort());
  for (const [, name, link] of listed) {
    t.equal(name, link);
    t.ok(existsSync(programPath(`./${name}.test.js`, import.meta.url)), `${name} has a test`);
  }
});
