import { existsSync, readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';
import { compilePrograms } from './page-program.js';

const packages = programPath('../../../packages', import.meta.url);

/** What examples take their names from. */
const MODULES = [
  '@sdrx/event',
  '@sdrx/event/testing',
  '@sdrx/event/pino',
  '@sdrx/linux',
  '@sdrx/varlink',
  'rxjs',
  'node:assert/strict',
  'node:fs/promises',
  'node:http',
];

/** These go on until a signal comes. */
const ENDLESS = /\b(runService|supervise|exitOnSignal)\(/;

/** This fails where there is no journal, and says so. */
const NEEDS_JOURNAL = /\bsendJournalEntry\(/;

/** Whether an example can be run here. */
function runs(example: string): boolean {
  return !ENDLESS.test(example) && (!NEEDS_JOURNAL.test(example) || existsSync('/run/systemd/journal/socket'));
}

/** The examples in the documentation of what packages export, by file and number. */
function examples(): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of readdirSync(packages)) {
    const source = `${packages}/${name}/src`;
    for (const file of readdirSync(source, { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.ts')) continue;
      const matches = readFileSync(`${source}/${file}`, 'utf8').matchAll(/^( *) \* @example\n(.*?)^ *\*\/$/gms);
      for (const [index, [, , text = '']] of [...matches].entries()) {
        found.set(`${name}-${file.slice(0, -3).replaceAll('/', '-')}-${index + 1}`, text.replaceAll(/^ *\* ?/gm, ''));
      }
    }
  }
  return found;
}

/** What each module exports, the first that has a name. */
async function exportsOf(modules: readonly string[]): Promise<Map<string, string>> {
  const all = new Map<string, string>();
  for (const name of modules) {
    for (const exported of Object.keys(await import(name))) if (!all.has(exported)) all.set(exported, name);
  }
  all.set('pino', 'pino');
  return all.delete('default') ? all.set('assert', 'node:assert/strict') : all;
}

/** A module of an example: what it mentions is imported, and a loop is at hand. */
function moduleOf(example: string, exported: ReadonlyMap<string, string>): string {
  const words = new Set(example.match(/[A-Za-z]\w*/g));
  const imports = [...words].flatMap((word) => {
    const name = exported.get(word);
    if (name === undefined || word === 'VirtualLoop') return [];
    return [word === 'assert' ? `import assert from '${name}';` : `import { ${word} } from '${name}';`];
  });
  const loop = /\bloop = /.test(example) ? '_' : 'loop';
  return `import { VirtualLoop } from '@sdrx/event/testing';
${imports.join('\n')}
export async function example(${loop}: VirtualLoop): Promise<void> {
${example}}
`;
}

/**
 * Runs examples, one after another, each in a virtual loop that runs; says which it has run. All modules are loaded at first: once
 * somebody has looked at a socket, Node finds what is behind symbolic links a second time, by another path.
 */
function mainOf(names: readonly string[]): string {
  return `import { VirtualLoop } from '@sdrx/event/testing';
const examples = new Map();
for (const name of ${JSON.stringify(names)}) examples.set(name, (await import('./' + name + '.js')).example);
for (const [name, example] of examples) {
  using loop = new VirtualLoop();
  const finished = loop.run();
  await example(loop);
  loop.exit();
  await loop.finish();
  await finished;
  console.log('ran ' + name);
}
process.exit();
`;
}

t.test('the examples in the documentation compile, with all checks on, and run', async (t) => {
  using folder = new Folder();
  const all = examples();
  t.ok(all.size >= 18, `${all.size} examples`);
  t.ok(all.has('event-loop-1') && all.has('event-trace-trace-1'));
  const exported = await exportsOf(MODULES);
  const programs = new Map([...all].map(([name, example]) => [name, moduleOf(example, exported)]));
  const names = [...all].filter(([, example]) => runs(example)).map(([name]) => name);
  t.ok(names.length >= 12, `${names.length} are run`);
  programs.set('main', mainOf(names));
  t.doesNotThrow(() => compilePrograms(folder, programs));
  const { output, exit } = runNode([folder.join('main.js')]);
  t.match(exit, { status: 0 }, output);
  for (const name of names) t.match(output, new RegExp(`^ran ${name}$`, 'm'));
});
