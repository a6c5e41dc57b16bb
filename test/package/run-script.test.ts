import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { copyFresh } from '../support/fresh-copy.js';
import { programPath } from '../support/program-path.js';
import { attempt } from './run.js';

const root = programPath('../../..', import.meta.url);
const needsGit = existsSync(join(root, '.git')) ? {} : { skip: 'this is no clone' };

/** Runs scripts/run.js of a folder, after `change` has made the process look like one elsewhere. */
function runScript(folder: string, change: string, ...args: readonly string[]) {
  const first = `data:text/javascript,${encodeURIComponent(change)}`;
  return attempt(folder, process.execPath, '--import', first, 'scripts/run.js', ...args);
}

function otherNode(version: string): string {
  return `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } });`;
}

t.test('a machine on which sdrx does not run is refused, before anything is set up', needsGit, (t) => {
  using clone = new Folder();
  copyFresh(root, clone.path);
  for (const version of ['18.20.8', '20.18.3', '21.7.3', '22.11.0']) {
    const stderr = `sdrx: sdrx needs Node 20.19 or newer, or 22.12 or newer; this is ${version}\n`;
    t.strictSame(runScript(clone.path, otherNode(version), 'build'), { status: 1, stdout: '', stderr });
  }
  const otherSystem = "Object.defineProperty(process, 'platform', { value: 'darwin' });";
  const stderr = 'sdrx: sdrx runs on Linux only, not on darwin\n';
  t.strictSame(runScript(clone.path, otherSystem, 'build'), { status: 1, stdout: '', stderr });
  t.notOk(existsSync(clone.join('node_modules')));
  t.end();
});

t.test('npm start says that only root can run it, before anything is set up', needsGit, (t) => {
  using clone = new Folder();
  copyFresh(root, clone.path);
  const { status, stdout, stderr } = runScript(clone.path, 'process.getuid = () => 1000;', 'start');
  t.equal(status, 77);
  t.equal(stdout, '');
  t.equal(stderr, 'sdrx: only root may hand out ids to user namespaces. Run it as root: sudo npm start\n');
  t.notOk(existsSync(clone.join('node_modules')));
  t.end();
});

t.test('a name that is not that of a script is refused', (t) => {
  for (const name of ['', 'no-such-script', 'setup']) {
    const { status, stderr } = attempt(root, process.execPath, 'scripts/run.js', name);
    t.equal(status, 1);
    t.equal(stderr, `sdrx: there is no script with the name '${name}': package.json has those that there are\n`);
  }
  t.end();
});
