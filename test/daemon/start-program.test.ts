import { copyFileSync, readFileSync, statSync, truncateSync, utimesSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Script } from 'node:vm';
import t from 'tap';
import { InstalledDaemon } from '../support/installed-daemon.js';
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
