import {
  copyFileSync,
  cpSync,
  mkdirSync,
  readFileSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Script } from 'node:vm';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { InstalledDaemon } from '../support/installed-daemon.js';
import { programPath } from '../support/program-path.js';
import { runProgram } from '../support/run-program.js';

/** The programs that a daemon is started by. */
const PROGRAMS = ['nsresourced', 'nsresourcework'] as const;

/** What was made of a program's code when it was built. */
function cacheOf(path: string): string {
  return `${path}.js.${process.version}-${process.arch}`;
}

function versionOf(path: string): string {
  return runProgram(process.execPath, [path, '--version']).output;
}

t.test('V8 takes what it made of the code when it was built', (t) => {
  using daemon = new InstalledDaemon();
  for (const name of PROGRAMS) {
    const path = join(dirname(daemon.path), name);
    const code = readFileSync(`${path}.js`, 'latin1');
    const script = new Script(code, { filename: `${path}.js`, cachedData: readFileSync(cacheOf(path)) });
    t.equal(script.cachedDataRejected, false, name);
    t.notMatch(code, /[^\0-\x7f]/, 'the code is ASCII');
  }
  t.end();
});

t.test('code that is newer than that runs as it is, also if it is as long', (t) => {
  using daemon = new InstalledDaemon();
  const size = statSync(`${daemon.path}.js`).size;
  daemon.upgrade('0.2.0');
  t.equal(statSync(`${daemon.path}.js`).size, size);
  t.equal(versionOf(daemon.path), 'nsresourced 0.2.0\n');
  t.end();
});

t.test('without it, or if it is cut off or of another release, a program starts all the same', (t) => {
  using daemon = new InstalledDaemon();
  const cache = cacheOf(daemon.path);
  const spoil = [
    () => truncateSync(cache, 10_000),
    () => truncateSync(cache, 0),
    () => copyFileSync(process.execPath, cache),
    () => utimesSync(cache, 0, 0),
  ];
  for (const change of spoil) {
    daemon.restore();
    change();
    t.equal(versionOf(daemon.path), 'nsresourced 0.1.0\n');
  }
  t.end();
});

/** Runs a program, and looks which modules of koffi it has loaded beside its native file. */
function koffiModulesOf(path: string, folder: Folder): string[] {
  const hook = folder.join('hook.cjs');
  const print = 'console.log(JSON.stringify(Object.keys(require.cache)))';
  writeFileSync(hook, `process.on('exit', () => { ${print} });`);
  const { output } = runProgram(process.execPath, ['--require', hook, path, '--version']);
  const [version, modules = '[]'] = output.split('\n');
  if (version !== 'nsresourcework 0.1.0') throw new Error(output);
  const paths: string[] = JSON.parse(modules);
  return paths.filter((file) => file.includes('koffi'));
}

t.test('programs load koffi’s native file, and koffi only where it is not in its place', (t) => {
  using daemon = new InstalledDaemon();
  using folder = new Folder();
  const programs = dirname(daemon.path);
  t.strictSame(koffiModulesOf(join(programs, 'nsresourcework'), folder), []);

  cpSync(programs, folder.join('bin'), { recursive: true });
  const place = folder.join('node_modules/koffi');
  mkdirSync(place, { recursive: true });
  const koffi = createRequire(programPath('../../../packages/daemon/package.json', import.meta.url)).resolve('koffi');
  writeFileSync(join(place, 'index.js'), `module.exports = require(${JSON.stringify(koffi)});`);
  t.ok(koffiModulesOf(folder.join('bin/nsresourcework'), folder).includes(koffi));
  t.end();
});

t.test('no program loads node:crypto, which takes Node several milliseconds, before it needs it', (t) => {
  using folder = new Folder();
  using daemon = new InstalledDaemon();
  const hook = folder.join('hook.cjs');
  const print = "console.log(process.moduleLoadList.includes('NativeModule crypto'))";
  writeFileSync(hook, `process.on('exit', () => { ${print} });`);
  for (const name of PROGRAMS) {
    const path = join(dirname(daemon.path), name);
    const { output } = runProgram(process.execPath, ['--require', hook, path, '--version']);
    t.equal(output, `${name} 0.1.0\nfalse\n`);
  }
  t.end();
});

t.test('what V8 has read of the code is not kept in memory', (t) => {
  using folder = new Folder();
  using daemon = new InstalledDaemon();
  const hook = folder.join('hook.cjs');
  writeFileSync(
    hook,
    `const fs = require('node:fs');
    const { readFileSync } = fs;
    fs.readFileSync = (path, ...options) => {
      const content = readFileSync(path, ...options);
      if (path.endsWith(process.arch)) {
        // The first and the last page may be shared with something else.
        const inner = content.subarray(4096, -4096);
        console.log(inner.some((byte) => byte !== 0));
        process.on('exit', () => console.log(inner.some((byte) => byte !== 0)));
      }
      return content;
    };`,
  );
  for (const name of PROGRAMS) {
    const path = join(dirname(daemon.path), name);
    const { output } = runProgram(process.execPath, ['--require', hook, path, '--version']);
    t.equal(output, `true\n${name} 0.1.0\nfalse\n`);
  }
  t.end();
});
