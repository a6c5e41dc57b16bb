import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { packAll, packages, root } from './packed.js';
import { run } from './run.js';

const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

function codeOf(readme: string): string {
  const [, code = ''] = /^```ts\n(.*?)^```$/ms.exec(readFileSync(readme, 'utf8')) ?? [];
  return code;
}

/** Those that are installed. */
const names = ['linux', 'event', 'bpf'].filter((name) => packages.includes(name));
const { version } = JSON.parse(readFileSync(join(root, 'packages', 'event', 'package.json'), 'utf8'));

/** What comes with bpf beside TypeScript. */
const object = 'dist/userns-restrict.bpf.o';
const headers = ['ids', 'kernel', 'program'].map((name) => `src/${name}.bpf.h`);
const bpfProgram = [...headers, 'src/userns-restrict.bpf.c', object, 'LICENSES/GPL-2.0-only.txt'];

/** A timer that sends a signal that starts a child that ends it. */
const service = `
import { EventLoop, type ChildExit, type TimeEvent } from '@sdrx/event';
import { VirtualLoop } from '@sdrx/event/testing';
import { sigqueue, spawn, type SignalInfo } from '@sdrx/linux';
import { merge, mergeMap, type Observable, tap } from 'rxjs';

const loop = new EventLoop();
const timer: Observable<TimeEvent> = loop.time({ after: 1 });
const signal: Observable<SignalInfo> = loop.signal('SIGRTMIN+18');
const program = merge(
  timer.pipe(tap(() => sigqueue(process.pid, 'SIGRTMIN+18', 5))),
  signal.pipe(
    mergeMap(({ value }): Observable<ChildExit> => loop.child(spawn('sh', { args: ['-c', \`exit \${value}\`] }))),
    tap(({ code, status }) => console.log(code, status)),
    tap(() => loop.exit()),
  ),
);
{
  using virtual = new VirtualLoop();
  const finished: Promise<number> = virtual.run(virtual.time({ after: 1e9 }).pipe(tap(() => virtual.exit())));
  await virtual.finish();
  await finished;
}
process.exitCode = await loop.run(program);
`;

const commonjs = `
const { EventLoop } = require('@sdrx/event');
const loop = new EventLoop();
loop.time({ after: 1 }).subscribe(() => loop.exit());
loop.run().then(async (code) => {
  const imported = await import('@sdrx/event');
  const { version } = require('@sdrx/event/package.json');
  const { VirtualLoop } = require('@sdrx/event/testing');
  console.log('code', code, imported.EventLoop === EventLoop, new VirtualLoop() instanceof EventLoop, version);
});
`;

t.test('packed and installed in an empty folder', async (t) => {
  using folder = new Folder();
  const tarballs = packAll(folder);
  const tarball = (name: string) => tarballs.get(name) ?? '';
  writeFileSync(folder.join('package.json'), '{ "type": "module" }');
  const types = `@types/node@${devDependencies['@types/node']}`;
  run(
    folder.path,
    'npm',
    'install',
    '--prefix',
    folder.path,
    '--prefer-offline',
    '--no-audit',
    '--no-fund',
    ...names.map(tarball),
    types,
  );
  const installed = (name: string) => folder.join('node_modules', '@sdrx', name);

  for (const name of packages) {
    await t.test(`${name} brings its licence, its README and nothing of the compiler's`, (t) => {
      const files = run(folder.path, 'tar', '-tzf', tarball(name)).split('\n');
      const gpl = ['bpf', 'daemon'].includes(name) ? ['LICENSES/GPL-2.0-only.txt'] : [];
      const theirs = name === 'daemon' ? ['bin/THIRD-PARTY-LICENSES'] : [];
      for (const path of ['LICENSE', 'README.md', ...gpl, ...theirs]) t.ok(files.includes(`package/${path}`), path);
      t.strictSame(
        files.filter((path) => path.endsWith('.tsbuildinfo')),
        [],
      );
      t.end();
    });
  }

  const needsDaemon = packages.includes('daemon') ? {} : { skip: 'without clang it is not packed' };
  await t.test('the programs of daemon come with the licences of what is bundled with them', needsDaemon, (t) => {
    const licenses = run(folder.path, 'tar', '-xzOf', tarball('daemon'), 'package/bin/THIRD-PARTY-LICENSES');
    for (const name of ['rxjs', 'io-ts', 'fp-ts', '@posthog/siphash', 'easy-table', 'lossless-json'])
      t.match(licenses, new RegExp(`^${name} \\d`, 'm'));
    t.match(licenses, 'Apache License');
    t.end();
  });

  for (const name of names) {
    await t.test(`${name} holds what its users need, and nothing else`, async (t) => {
      const files = readdirSync(installed(name), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => relative(installed(name), join(entry.parentPath, entry.name)));
      const sources = files.filter((path) => /^src\/.*\.ts$/.test(path));
      t.ok(sources.length > 10);
      const compiled = sources.flatMap((source) =>
        ['.js', '.js.map', '.d.ts', '.d.ts.map'].map((suffix) => source.replace(/^src(.*)\.ts$/, `dist$1${suffix}`)),
      );
      const programs = name === 'bpf' ? bpfProgram : [];
      const bundled = name === 'bpf' ? [] : ['lib/index.js', 'lib/index.js.map'];
      t.strictSame(
        files.sort(),
        ['package.json', 'README.md', 'LICENSE', ...programs, ...sources, ...compiled, ...bundled].sort(),
      );

      const wrong = [...compiled, ...bundled].filter((path) => {
        if (!path.endsWith('.map')) return false;
        const { sources: mapped } = JSON.parse(readFileSync(join(installed(name), path), 'utf8')) as {
          sources: string[];
        };
        // What has no file is what the bundler puts in the place of rxjs.
        const files = mapped.filter((source) => !source.includes('needed-rxjs'));
        return files.length === 0 || !files.every((source) => sources.includes(join(dirname(path), source)));
      });
      t.strictSame(wrong, [], 'source maps find their sources');
    });
  }

  await t.test('no codec library comes along', (t) => {
    // Each of them would be many times larger than ours.
    t.strictSame(
      readdirSync(folder.join('node_modules')).filter((name) => /^(io|fp)-ts$/.test(name)),
      [],
    );
    t.end();
  });

  await t.test('a program loads a few files, and of rxjs what is needed: its start takes no longer than that', (t) => {
    const program = `
      import { createRequire } from 'node:module';
      import '@sdrx/event';
      const loaded = Object.keys(createRequire(import.meta.url).cache).filter((path) => path.includes('/rxjs/'));
      console.log(loaded.length);`;
    writeFileSync(folder.join('loaded.mjs'), program);
    const output = run(folder.path, process.execPath, 'loaded.mjs');
    t.ok(Number(output) > 10 && Number(output) < 110, output);
    t.end();
  });

  await t.test('it compiles with all checks on', async () => {
    writeFileSync(folder.join('service.ts'), service);
    for (const name of names) {
      writeFileSync(folder.join(`${name}-readme.ts`), codeOf(join(installed(name), 'README.md')));
    }
    const options = ['--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess', '--sourceMap'];
    const language = ['--target', 'es2022', '--module', 'nodenext', '--types', 'node'];
    const files = ['service.ts', ...names.map((name) => `${name}-readme.ts`)];
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
    run(folder.path, process.execPath, tsc, ...options, ...language, ...files);
  });

  await t.test('a service runs on timer, signal and child', async (t) => {
    t.equal(run(folder.path, process.execPath, 'service.js'), 'exited 5\n');
  });

  await t.test("the program of linux's README runs", async (t) => {
    t.equal(run(folder.path, process.execPath, 'linux-readme.js'), 'exited with 0: Linux\n');
  });

  await t.test('its commands are installed as programs', async (t) => {
    for (const name of ['sdrx-control', 'sdrx-trace'])
      t.match(run(folder.path, join('node_modules', '.bin', name), '--help'), new RegExp(`^Usage: ${name} `));
  });

  await t.test('it can be required, too', async (t) => {
    writeFileSync(folder.join('service.cjs'), commonjs);
    t.equal(run(folder.path, process.execPath, 'service.cjs'), `code 0 true true ${version}\n`);
  });
});
