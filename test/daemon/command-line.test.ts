import { existsSync } from 'node:fs';
import t from 'tap';
import { nsresourced } from '../support/daemon.js';
import { Folder } from '../support/folder.js';
import { programPath } from '../support/program-path.js';
import { runProgram } from '../support/run-program.js';

const nsresourcework = programPath('../../../packages/daemon/bin/nsresourcework', import.meta.url);
const nsresourcectl = programPath('../../../packages/daemon/bin/nsresourcectl', import.meta.url);

/** Runs a program to its end: what it wrote to both its outputs, and its exit status. */
function run(program: string, ...args: readonly string[]): { readonly output: string; readonly status: number } {
  const script = 'exec "$@" 2>&1';
  const { output, exit } = runProgram('sh', ['-c', script, 'sh', process.execPath, program, ...args]);
  return { output, status: exit.code === 'exited' ? exit.status : -1 };
}

const OPTIONS: readonly (readonly [program: string, options: readonly string[]])[] = [
  [nsresourced, ['--runtime-directory=DIR', '--listen=PATH', '--userns-restrict=require|off', '--worker=PROGRAM']],
  [nsresourcework, ['--runtime-directory=DIR', '--userns-restrict=require|off']],
  [nsresourcectl, ['--runtime-directory=DIR', '--json']],
];

for (const [program, options] of OPTIONS) {
  const name = program.slice(program.lastIndexOf('/') + 1);

  t.test(`${name} --help explains every option`, async (t) => {
    const { output, status } = run(program, '--help');
    t.equal(status, 0);
    t.match(output, new RegExp(`^Usage: ${name} \\[OPTIONS\\.\\.\\.\\](?: \\[.*\\])?\n`));
    const explained = output.match(/^ {2}(-h, )?--\S+(?= +\S)/gm)?.map((line) => line.trim());
    t.strictSame(explained, [...options, '-h, --help', '--version']);
    t.ok(output.split('\n').every((line) => line.length <= 120));
  });

  t.test(`${name} -h does the same`, async (t) => {
    t.strictSame(run(program, '-h'), run(program, '--help'));
  });

  t.test(`${name} --version says its version`, async (t) => {
    const { output, status } = run(program, '--version');
    t.match(output, new RegExp(`^${name} \\d+\\.\\d+\\.\\d+\n$`));
    t.equal(status, 0);
  });
}

const WRONG: readonly (readonly [args: readonly string[], named: string])[] = [
  [['--bogus'], '--bogus'],
  [['--bogus=1'], '--bogus'],
  [['-x'], '-x'],
  [['operand'], 'operand'],
  [['--', 'operand'], 'operand'],
  [['--userns-restrict=maybe'], "--userns-restrict takes require or off, not 'maybe'"],
  [['--userns-restrict='], "--userns-restrict takes require or off, not ''"],
  [['--userns-restrict'], '--userns-restrict'],
  [['--runtime-directory='], "--runtime-directory takes a path, not ''"],
  [['--listen='], "--listen takes a path, not ''"],
  [['--worker='], "--worker takes a path, not ''"],
  [['--help=yes'], '--help'],
  [['--userns-restrict=off', '--bogus', '--help'], '--bogus'],
];
for (const [args, named] of WRONG) {
  t.test(`'${args.join(' ')}' is wrong, and the message says what is`, async (t) => {
    using folder = new Folder();
    const directory = folder.join('runtime');
    const { output, status } = run(nsresourced, `--runtime-directory=${directory}`, ...args);
    t.equal(status, 2);
    t.match(output, named);
    t.equal(output.match(/\n/g)?.length, 1, 'one line');
    t.notOk(existsSync(directory), 'nothing was done');
  });
}

t.test('nsresourcework without a socket says what it needs', async (t) => {
  const { output, status } = run(nsresourcework);
  t.equal(status, 2);
  t.match(output, 'one listening AF_UNIX stream socket must be passed, LISTEN_FDS passed 0 descriptors');
});
