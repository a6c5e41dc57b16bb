import { readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { needsLibsystemd } from '../parity/interpreters.js';
import { Folder } from '../support/folder.js';
import { runProgram } from '../support/run-program.js';
import { root } from './markdown-pages.js';
import { compilePages, PageProgram } from './page-program.js';

const page = readFileSync(`${root}/docs/from-sd-event.md`, 'utf8');
const [, shown = 'nothing'] = /^Both print\n\n```\n(.*?)```$/ms.exec(page) ?? [];

const folder = new Folder();
t.teardown(() => folder[Symbol.dispose]());

t.test('the program of sdrx in docs/from-sd-event.md prints what the page says', async (t) => {
  compilePages(folder, ['from-sd-event']);
  const program = new PageProgram(t, folder, 'from-sd-event', [], {});
  t.equal(await program.ended(), 0);
  t.equal(program.output, shown);
});

t.test('so does the one of sd-event', needsLibsystemd, (t) => {
  const [, source = ''] = /^```c\n(.*?)^```$/ms.exec(page) ?? [];
  const [file, program] = [folder.join('ticker.c'), folder.join('ticker')];
  writeFileSync(file, source);
  // Parameters that a handler has no use for are usual in C.
  const options = ['-Wall', '-Wextra', '-Wno-unused-parameter', '-Werror', '-o', program];
  const compiler = runProgram('gcc', [...options, file, '-lsystemd']);
  t.match(compiler.exit, { code: 'exited', status: 0 }, compiler.output);
  const { output, exit } = runProgram(program, []);
  t.match(exit, { code: 'exited', status: 0 });
  t.equal(output, shown);
  t.end();
});

t.test('what it has of sd-event is in the whole table, too', (t) => {
  const table = readFileSync(`${root}/docs/parity-sd-event.md`, 'utf8');
  const names = new Set(page.match(/\bsd_event_(?!source\b)[a-z_]+/g));
  t.ok(names.size > 40, `${names.size} functions`);
  for (const name of names) t.ok(table.includes(`\`${name}\``), name);
  t.end();
});
