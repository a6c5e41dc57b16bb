import { execFile } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { parseInterface, typescriptOf } from '@sdrx/varlink';
import t from 'tap';
import { Folder } from '../../support/folder.js';
import { leavingNothing } from '../../support/nothing-left.js';
import { programPath } from '../../support/program-path.js';
import { example, exampleService } from '../example.js';
import { withServer } from '../fixture.js';

const manifest = programPath('../../../../packages/varlink/package.json', import.meta.url);
const program = programPath(
  `../../../../packages/varlink/${JSON.parse(readFileSync(manifest, 'utf8')).bin.varlink2ts}`,
  import.meta.url,
);

interface Outcome {
  readonly status: unknown;
  readonly stdout: string;
  readonly stderr: string;
}

function varlink2ts(args: readonly string[], input = ''): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [program, ...args], (error, stdout, stderr) =>
      resolve({ status: error?.code ?? 0, stdout, stderr }),
    );
    child.stdin?.end(input);
  });
}

const TEXT = 'interface org.example.lamp\n\nmethod Light(colour: ?(red, green)) -> ()\n';
const MODULE = typescriptOf(parseInterface(TEXT));

t.test('varlink2ts is a program that a shell starts, and explains itself', async (t) => {
  t.match(readFileSync(program, 'utf8'), /^#!\/usr\/bin\/env node\n/);
  t.ok(statSync(program).isFile());
  for (const option of ['--help', '-h']) {
    const { status, stdout, stderr } = await varlink2ts([option]);
    t.strictSame({ status, stderr }, { status: 0, stderr: '' });
    t.match(stdout, /^Usage: varlink2ts FILE /);
    t.notOk(stdout.split('\n').some((line) => line.length > 115));
  }
});

t.test('it makes a module of a file, of its standard input, and of what a service tells', async (t) => {
  await leavingNothing(async () => {
    using folder = new Folder();
    const file = folder.join('lamp.varlink');
    writeFileSync(file, TEXT);
    t.strictSame(await varlink2ts([file]), { status: 0, stdout: MODULE, stderr: '' });
    t.strictSame(await varlink2ts(['-'], TEXT), { status: 0, stdout: MODULE, stderr: '' });

    const output = folder.join('lamp.ts');
    t.strictSame(await varlink2ts(['-', `--output=${output}`], TEXT), { status: 0, stdout: '', stderr: '' });
    t.equal(readFileSync(output, 'utf8'), MODULE);
    const { stdout } = await varlink2ts([file, '--name=bulb']);
    t.match(stdout, 'export const bulb = varlinkInterface({');
  });
  await withServer(exampleService(), async ({ path }) => {
    const expected = typescriptOf(parseInterface(example.text));
    for (const socket of [path, `unix:${path}`])
      t.strictSame(await varlink2ts([socket, 'org.example.test']), { status: 0, stdout: expected, stderr: '' });
    t.strictSame(await varlink2ts([path, 'org.example.none']), {
      status: 1,
      stdout: '',
      stderr: `varlink2ts: the service at ${path} has no interface org.example.none\n`,
    });
  });
});

t.test('1: what can not be made is told, and nothing is written', async (t) => {
  using folder = new Folder();
  const output = folder.join('lamp.ts');
  const file = folder.join('lamp.varlink');
  writeFileSync(file, 'interface org.example.lamp\n\nmethod Light(colour: uint) -> ()\n');
  const failed = (message: string) => ({ status: 1, stdout: '', stderr: `varlink2ts: ${message}\n` });
  t.strictSame(
    await varlink2ts([file, `--output=${output}`]),
    failed(`${file}: line 3, column 22: expected a type, not 'uint'`),
  );
  t.strictSame(await varlink2ts(['-'], 'interface a.b\ntype X (y: Z)'), failed("-: the interface has no type 'Z'"));
  t.strictSame(
    await varlink2ts([folder.join('none')]),
    failed(`ENOENT: no such file or directory, open '${folder.join('none')}'`),
  );
  t.match((await varlink2ts([folder.join('none'), 'a.b'])).stderr, /^varlink2ts: a\.b at .*none: .*ENOENT/);
  t.notOk(existsSync(output));
});

t.test('2: a wrong command line is told', async (t) => {
  const wrong: [string[], string][] = [
    [[], 'a file must be given, or an address and an interface'],
    [['a', 'b', 'c'], 'a file must be given, or an address and an interface'],
    [[''], 'a file must be given, or an address and an interface'],
    [['-', '--output='], '--output needs a file'],
    [['-', '--name=class'], "--name must be an identifier that the module does not need itself, not 'class'"],
    [['-', '--name='], "--name must be an identifier that the module does not need itself, not ''"],
  ];
  for (const [args, message] of wrong)
    t.strictSame(await varlink2ts(args), { status: 2, stdout: '', stderr: `varlink2ts: ${message}; see --help\n` });
  const { status, stderr } = await varlink2ts(['--nonsense']);
  t.equal(status, 2);
  t.match(stderr, /^varlink2ts: .*nonsense.*; see --help\n$/s);
});
