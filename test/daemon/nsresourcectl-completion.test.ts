import { writeFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { control } from '../support/nsresourcectl.js';
import { RegistryFolder } from '../support/registry-folder.js';
import { runProgram } from '../support/run-program.js';

const ENTRY = { owner: 1000, name: '1000-one', userns: 4_026_532_180, cgroups: [] };

/** What is typed, and what it may become. */
const CASES: readonly (readonly [words: readonly string[], expected: readonly string[]])[] = [
  [['re'], ['release', 'reload']],
  [['show', ''], ['1000-one']],
  [['log-level', 'd'], ['debug']],
  [
    ['completion', ''],
    ['bash', 'fish', 'zsh'],
  ],
];

const has = (shell: string) => runProgram('sh', ['-c', `command -v ${shell}`]).output !== '';

/** The script for a shell, in a file. */
function scriptOf(t: Test, folder: RegistryFolder, shell: string): string {
  const { output, status } = control(folder, ['completion', shell]);
  t.equal(status, 0);
  const path = folder.join(`completion.${shell}`);
  writeFileSync(path, output);
  return path;
}

t.test('bash completes commands, names, and words', { skip: !has('bash') && 'no bash' }, async (t) => {
  using folder = new RegistryFolder(ENTRY);
  const path = scriptOf(t, folder, 'bash');
  const complete = (...words: readonly string[]) => {
    const script = `compopt() { :; }; . ${path}; COMP_WORDS=(nsresourcectl "$@"); COMP_CWORD=$#; _nsresourcectl; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return runProgram('bash', ['--norc', '-c', script, 'bash', ...words])
      .output.split('\n')
      .filter(Boolean)
      .sort();
  };
  for (const [words, expected] of CASES) t.strictSame(complete(...words), expected, words.join(' '));
  t.strictSame(complete('run', '--n'), ['--name=', '--network']);
  t.ok(complete('run', '--', 'nsent').includes('nsenter'));
});

t.test('fish does', { skip: !has('fish') && 'no fish' }, async (t) => {
  using folder = new RegistryFolder(ENTRY);
  const path = scriptOf(t, folder, 'fish');
  const complete = (...words: readonly string[]) => {
    const script = `source ${path}; complete -C 'nsresourcectl ${words.join(' ')}'`;
    const { output } = runProgram('fish', ['--no-config', '-c', script]);
    return output
      .split('\n')
      .filter(Boolean)
      .map((line) => line.replace(/\t.*/, ''))
      .sort();
  };
  for (const [words, expected] of CASES) t.strictSame(complete(...words), expected, words.join(' '));
  t.strictSame(complete('run', '--n'), ['--name', '--network']);
});

t.test('zsh does', { skip: !has('zsh') && 'no zsh' }, async (t) => {
  using folder = new RegistryFolder(ENTRY);
  const path = scriptOf(t, folder, 'zsh');
  // Its own functions tell what they were asked to offer.
  const stubs = `compdef() { : }; _describe() { print -l -- \${\${(P)2}%%:*} }; compadd() { print -l -- "\${@[2,-1]}" }
    _arguments() { [[ $@[-1] == *_nsresourcectl_names ]] && _nsresourcectl_names || print -l -- "$@" }`;
  const complete = (...words: readonly string[]) => {
    const script = `${stubs}; . ${path}; words=(nsresourcectl "$@"); CURRENT=$#words; _nsresourcectl`;
    return runProgram('zsh', ['-f', '-c', script, 'zsh', ...words])
      .output.split('\n')
      .filter(Boolean);
  };
  t.ok(['run', 'list', 'release', 'reload'].every((name) => complete('re').includes(name)));
  t.strictSame(complete('show', ''), ['1000-one']);
  t.match(complete('log-level', '').join(' '), '1:word:(emerg alert crit err warning notice info debug)');
  t.match(complete('run', '--n').join(' '), /--name=:value:.*--network/);
});

t.test('other shells are not known', async (t) => {
  using folder = new RegistryFolder();
  for (const shell of ['csh', 'toString'])
    t.match(control(folder, ['completion', shell]), { status: 2, errors: /is none of bash, zsh, fish/ });
});
