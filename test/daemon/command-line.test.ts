import { existsSync } from 'node:fs';
import { LIMIT_OPTIONS, LIMITS, limitArguments, limitsOf } from '@sdrx/daemon';
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

const LIMIT_NAMES = Object.entries(LIMIT_OPTIONS).map(([name, { value }]) => `--${name}=${value}`);

const OPTIONS: readonly (readonly [program: string, options: readonly string[]])[] = [
  [
    nsresourced,
    [
      ...['--runtime-directory=DIR', '--listen=PATH', '--userns-restrict=require|off', '--worker=PROGRAM'],
      ...['--metrics=unix:PATH|tcp:HOST:PORT', '--report=PATH', '--metrics-mode=MODE'],
      ...LIMIT_NAMES,
    ],
  ],
  [nsresourcework, ['--runtime-directory=DIR', '--userns-restrict=require|off', '--slot=N', ...LIMIT_NAMES]],
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
  [['--max-connections=0'], "--max-connections takes a number from 1 to 65536, not '0'"],
  [['--max-connections=many'], "--max-connections takes a number from 1 to 65536, not 'many'"],
  [['--max-connections=-1'], "--max-connections takes a number from 1 to 65536, not '-1'"],
  [['--max-connections=1e3'], "--max-connections takes a number from 1 to 65536, not '1e3'"],
  [['--max-workers=4'], "--max-workers takes a number from 5 to 4096, not '4'"],
  [['--max-workers=4097'], "--max-workers takes a number from 5 to 4096, not '4097'"],
  [['--max-message-size=17M'], "--max-message-size takes bytes from 1K to 16M, not '17M'"],
  [['--max-message-size=2G'], "--max-message-size takes bytes from 1K to 16M, not '2G'"],
  [['--max-message-time=999ms'], "--max-message-time takes seconds from 1 to 3600, not '999ms'"],
  [['--max-call-time=2h'], "--max-call-time takes seconds from 1 to 3600, not '2h'"],
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

t.test('each limit has an option, whose default is the limit', async (t) => {
  t.strictSame(limitsOf({}), LIMITS);
  const given = Object.entries(LIMIT_OPTIONS).map(([name, { codec }], index) => {
    const value = codec.decode(/fds|depth|helpers|workers/.test(name) ? '7' : String(1024 + index));
    return [name, value._tag === 'Right' ? value.right : t.fail(name)];
  });
  const limits = limitsOf(Object.fromEntries(given));
  const changed = Object.entries(limits).filter(([name, value]) => LIMITS[name as keyof typeof LIMITS] !== value);
  t.equal(changed.length, Object.keys(LIMITS).length);
});

t.test('units are understood', async (t) => {
  const decode = (option: keyof typeof LIMIT_OPTIONS, text: string) => {
    const result = LIMIT_OPTIONS[option].codec.decode(text);
    return result._tag === 'Right' ? result.right : undefined;
  };
  t.equal(decode('max-message-size', '4096'), 4096);
  t.equal(decode('max-message-size', '64K'), 65_536);
  t.equal(decode('max-message-size', '1M'), 1_048_576);
  t.equal(decode('max-message-size', '1k'), undefined);
  t.equal(decode('max-message-time', '30'), 30_000);
  t.equal(decode('max-message-time', '30s'), 30_000);
  t.equal(decode('max-message-time', '1500ms'), 1500);
  t.equal(decode('max-message-time', '2min'), 120_000);
  t.equal(decode('max-connections', '10K'), undefined);
  t.equal(decode('max-connections', ' 10'), undefined);
  t.equal(decode('max-connections', ''), undefined);
});

t.test('workers are told the limits that are not the usual ones, and understand them', async (t) => {
  t.strictSame(limitArguments(LIMITS), []);
  const limits = { ...LIMITS, connections: 77, messageSize: 5000, messageTime: 1500, callTime: 120_000 };
  const args = limitArguments(limits);
  t.strictSame(args, [
    '--max-connections=77',
    '--max-message-size=5000',
    '--max-message-time=1500ms',
    '--max-call-time=120s',
  ]);
  const { output } = run(nsresourcework, ...args);
  t.match(output, 'one listening AF_UNIX stream socket must be passed', 'which is all that it complains of');
});
