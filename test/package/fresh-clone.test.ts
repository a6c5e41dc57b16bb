import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { copyFresh } from '../support/fresh-copy.js';
import { programPath } from '../support/program-path.js';
import { attempt, run } from './run.js';

const root = programPath('../../..', import.meta.url);
const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const needsGit = existsSync(join(root, '.git')) ? {} : { skip: 'this is no clone' };

t.test('pnpm pack in a fresh clone packs what was built', needsGit, (t) => {
  using clone = new Folder();
  copyFresh(root, clone.path);
  const pack = ['--yes', packageManager, 'pack', '--pack-destination', clone.path];
  run(clone.join('packages', 'event'), 'npx', ...pack);
  const { version } = JSON.parse(readFileSync(clone.join('packages', 'event', 'package.json'), 'utf8'));
  const files = run(clone.path, 'tar', '-tzf', `sdrx-event-${version}.tgz`).split('\n');
  t.ok(files.includes('package/dist/index.js'));
  t.ok(files.includes('package/dist/index.d.ts'));
  t.end();
});

t.test('npm run build in a fresh clone sets up what it needs', needsGit, (t) => {
  using clone = new Folder();
  copyFresh(root, clone.path);
  run(clone.path, 'npm', 'run', 'build');
  for (const name of ['linux', 'event', 'varlink', 'bpf', 'daemon']) {
    t.ok(existsSync(clone.join('packages', name, 'dist', 'index.js')), name);
  }
  t.end();
});

t.test('npm run bench looks at every name, before it sets up anything', (t) => {
  for (const names of [
    ['no-such-benchmark', 'bench/'],
    ['bench/', 'no-such-benchmark'],
  ]) {
    const { status, stdout, stderr } = attempt(root, process.execPath, 'scripts/run.js', 'bench', ...names);
    t.equal(status, 1);
    t.equal(stdout, '');
    t.equal(stderr, "sdrx: no benchmark's path contains no-such-benchmark\n");
  }
  t.end();
});
