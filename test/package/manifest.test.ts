import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { programPath } from '../support/program-path.js';

const root = programPath('../../..', import.meta.url);

function manifest(...folder: readonly string[]) {
  return JSON.parse(readFileSync(join(root, ...folder, 'package.json'), 'utf8'));
}

const { engines } = manifest();

for (const name of readdirSync(join(root, 'packages'))) {
  t.test(`${name} says where it runs, and lets its package.json be read`, (t) => {
    const { os, cpu, libc, exports, ...rest } = manifest('packages', name);
    t.strictSame({ os, cpu, libc }, { os: ['linux'], cpu: ['x64', 'arm64'], libc: ['glibc'] });
    t.strictSame(rest.engines, engines);
    t.equal(exports['./package.json'], './package.json');
    t.end();
  });

  t.test(`${name} is built before it is packed`, (t) => {
    t.equal(manifest('packages', name).scripts.prepack, 'node ../../scripts/run.js build');
    t.end();
  });
}

t.test('io-ts is a peer where users pass codecs, so that theirs is the only one', (t) => {
  const { dependencies, peerDependencies } = manifest('packages', 'varlink');
  t.equal(peerDependencies['io-ts'], '^2.2.22');
  t.notOk('io-ts' in dependencies);
  t.end();
});

t.test('fp-ts is nowhere asked for but in the daemon, which is bundled', (t) => {
  for (const name of ['linux', 'event', 'varlink', 'bpf']) {
    const { dependencies = {}, peerDependencies = {} } = manifest('packages', name);
    t.notOk('fp-ts' in dependencies || 'fp-ts' in peerDependencies, name);
  }
  t.end();
});

t.test('Node releases in which require() of an ES module fails are not among the engines', (t) => {
  // Node 20.19, 22.12 and 23.0 are the first that have it without a flag.
  t.equal(engines.node, '^20.19.0 || >=22.12.0');
  t.end();
});
