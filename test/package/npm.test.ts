import { existsSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Folder } from '../support/folder.js';
import { hasClang, packAll, pnpm, root } from './packed.js';
import { attempt, run } from './run.js';

const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const { optionalDependencies } = JSON.parse(readFileSync(join(root, 'scripts', 'package.json'), 'utf8'));

/** What users have beside our packages, each as the repository has it. */
const theirs: Readonly<Record<string, string>> = Object.fromEntries(
  ['rxjs', 'io-ts', 'fp-ts', '@types/node', 'esbuild'].map((name) => [name, devDependencies[name]]),
);

// It starts compilers and package managers, which take a busy machine long.
t.setTimeout(1_200_000);

/** This Node, and the other releases that `npm test` fetches. */
const nodes = [
  process.execPath,
  ...Object.keys(optionalDependencies).map((name) => join(root, 'scripts', 'node_modules', name, 'bin', 'node')),
].filter((path) => existsSync(path));

/** TypeScript that is JavaScript, too: it names no type. */
const service = `
import { EventLoop } from '@sdrx/event';
import { VirtualLoop } from '@sdrx/event/testing';
import { sigqueue, spawn } from '@sdrx/linux';
import { connect } from '@sdrx/varlink';
import { merge, mergeMap, tap } from 'rxjs';

const loop = new EventLoop();
const program = merge(
  loop.signal('SIGRTMIN+18').pipe(
    mergeMap(({ value }) => loop.child(spawn('sh', { args: ['-c', 'exit ' + value] }))),
    tap(({ code, status }) => console.log(code, status, typeof VirtualLoop, typeof connect)),
    tap(() => loop.exit()),
  ),
  loop.time({ after: 1 }).pipe(tap(() => sigqueue(process.pid, 'SIGRTMIN+18', 5))),
);
process.exitCode = await loop.run(program);
`;

const commonjs = `
const { EventLoop } = require('@sdrx/event');
const { VirtualLoop } = require('@sdrx/event/testing');
const { spawn } = require('@sdrx/linux');
const { connect } = require('@sdrx/varlink');
const loop = new EventLoop();
loop.time({ after: 1 }).subscribe(() => loop.exit());
loop.run().then(async (code) => {
  const imported = await import('@sdrx/event');
  console.log(code, imported.EventLoop === EventLoop, typeof VirtualLoop, typeof spawn, typeof connect);
});
`;

/** What each program says. */
const PROGRAMS = {
  'service.js': 'exited 5 function function\n',
  'service.cjs': '0 true function function function\n',
};

function putPrograms(folder: string): void {
  writeFileSync(join(folder, 'service.js'), service);
  writeFileSync(join(folder, 'service.cjs'), commonjs);
}

/** Runs programs on every Node that there is: they say what they shall, and nothing is warned of. */
function runPrograms(t: Test, folder: string, programs: Readonly<Record<string, string>>): void {
  for (const node of nodes) {
    const release = run(folder, node, '--version').trim();
    for (const [program, stdout] of Object.entries(programs)) {
      const name = `${program} on Node ${release}`;
      t.strictSame(attempt(folder, node, program), { status: 0, stdout, stderr: '' }, name);
    }
  }
}

const program = (path: string) => [process.execPath, join(root, 'node_modules', path)] as const;

t.test('packed, and installed in an empty folder', async (t) => {
  using folder = new Folder();
  const tarballs = packAll(folder);
  const files = Object.fromEntries([...tarballs].map(([name, path]) => [`@sdrx/${name}`, `file:${path}`]));
  const manifest = JSON.stringify({ type: 'module', private: true, dependencies: { ...files, ...theirs } });

  for (const [name, path] of tarballs) {
    await t.test(`${name}: tools that look at packages have nothing to say`, (t) => {
      const publint = attempt(folder.path, ...program('publint/src/cli.js'), path, '--strict');
      t.match(publint, { status: 0, stdout: /All good!/ });
      // ES modules alone: Node loads them for require(), too, of which that tool does not know.
      const attw = ['--profile', 'esm-only', '--no-color', '--no-emoji', '--quiet', path];
      const types = attempt(folder.path, ...program('@arethetypeswrong/cli/dist/index.js'), ...attw);
      t.strictSame(types, { status: 0, stdout: '', stderr: '' });
      t.end();
    });
  }

  const npm = folder.join('npm');
  mkdirSync(npm);
  writeFileSync(join(npm, 'package.json'), manifest);
  // Of koffi's install script npm warns, as of any that nobody has decided about.
  const options = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', '--prefix', npm];
  const installed = attempt(npm, 'npm', 'install', ...options);
  t.match(installed, { status: 0, stderr: '' }, 'npm warns of nothing');
  putPrograms(npm);

  await t.test('they run on every Node, as ES modules and by require', (t) => {
    runPrograms(t, npm, PROGRAMS);
    t.end();
  });

  await t.test('their types are right for every way to resolve modules', (t) => {
    writeFileSync(join(npm, 'typed.ts'), service);
    writeFileSync(join(npm, 'typed.cts'), `import { EventLoop } from '@sdrx/event';\nnew EventLoop().exit(0);\n`);
    const strict = ['--strict', '--exactOptionalPropertyTypes', '--noEmit', '--target', 'es2023', '--types', 'node'];
    // TypeScript's node16 refuses ES modules in CommonJS.
    const ways = [
      ['typed.ts', '--module', 'node16'],
      ['typed.ts', '--module', 'nodenext'],
      ['typed.cts', '--module', 'nodenext'],
      ['typed.ts', '--module', 'esnext', '--moduleResolution', 'bundler'],
      ['typed.ts', '--module', 'preserve'],
    ];
    // The native one, and the last that is none, which is slow.
    const compilers = {
      'node_modules/typescript/bin/tsc': ways,
      'docs/node_modules/typescript/bin/tsc': ways.slice(0, 1),
    };
    for (const [compiler, wanted] of Object.entries(compilers)) {
      for (const [file = '', ...way] of wanted) {
        const args = [join(root, compiler), ...strict, ...way, file];
        const name = `${compiler} ${way.join(' ')} ${file}`;
        t.strictSame(attempt(npm, process.execPath, ...args), { status: 0, stdout: '', stderr: '' }, name);
      }
    }
    t.end();
  });

  await t.test('the recipe of docs/bundle.md makes a folder that runs by itself', (t) => {
    const [, recipe = ''] = /^```sh\n(.*?)^```$/ms.exec(readFileSync(join(root, 'docs', 'bundle.md'), 'utf8')) ?? [];
    // What simulates a loop is for tests, and no part of a service.
    const alone = service.replace(/^.*\/testing.*\n/m, '').replace(', typeof VirtualLoop', '');
    writeFileSync(join(npm, 'service.js'), alone);
    run(npm, 'sh', '-euc', recipe);
    using elsewhere = new Folder();
    renameSync(join(npm, 'out'), elsewhere.join('service'));
    runPrograms(t, elsewhere.join('service'), { 'service.js': 'exited 5 function\n' });
    t.end();
  });

  await t.test('pnpm, strict, finds all that they need declared', (t) => {
    const strict = folder.join('pnpm');
    mkdirSync(strict);
    writeFileSync(join(strict, 'package.json'), manifest);
    const settings = {
      strictPeerDependencies: true,
      strictDepBuilds: true,
      autoInstallPeers: false,
      hoist: false,
      allowBuilds: { koffi: false, esbuild: false },
      // From the registry one day; until then from here.
      overrides: files,
    };
    writeFileSync(join(strict, 'pnpm-workspace.yaml'), JSON.stringify(settings));
    const { status, stdout, stderr } = attempt(strict, 'env', 'CI=true', 'npx', ...pnpm, 'install', '--prefer-offline');
    t.equal(status, 0, `${stdout}${stderr}`);
    t.notMatch(`${stdout}${stderr}`, /\bWARN\b|warning/i);
    putPrograms(strict);
    runPrograms(t, strict, PROGRAMS);
    t.end();
  });
});

t.test('without clang nothing is packed that would lack the BPF program', { skip: !hasClang && 'no clang' }, (t) => {
  using folder = new Folder();
  // A PATH with what is asked for, but for clang.
  for (const name of ['nsenter', 'unshare']) symlinkSync(`/usr/bin/${name}`, folder.join(name));
  for (const name of ['bpf', 'daemon']) {
    const place = join(root, 'packages', name);
    const args = [`PATH=${folder.path}`, process.execPath, join(root, 'scripts', 'run.js'), 'prepack'];
    const { status, stderr } = attempt(place, 'env', ...args);
    t.equal(status, 1);
    t.match(stderr, `clang is not installed, and @sdrx/${name} would be packed without its BPF program`);
  }
  t.end();
});
