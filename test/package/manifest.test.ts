import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { programPath } from '../support/program-path.js';

const root = programPath('../../..', import.meta.url);

function manifest(...folder: readonly string[]) {
  return JSON.parse(readFileSync(join(root, ...folder, 'package.json'), 'utf8'));
}

function text(...path: readonly string[]): string {
  return readFileSync(join(root, ...path), 'utf8');
}

const { engines, author, license, repository, bugs, homepage } = manifest();

/** With the BPF program, which the kernel wants under the GPL. */
const BPF_PACKAGES = ['bpf', 'daemon'];

const names = readdirSync(join(root, 'packages'));

for (const name of names) {
  t.test(`${name} says where it runs, and lets its package.json be read`, (t) => {
    const { os, cpu, libc, exports, ...rest } = manifest('packages', name);
    t.strictSame({ os, cpu, libc }, { os: ['linux'], cpu: ['x64', 'arm64'], libc: ['glibc'] });
    t.strictSame(rest.engines, engines);
    t.equal(exports['./package.json'], './package.json');
    t.end();
  });

  t.test(`${name} is built before it is packed`, (t) => {
    t.equal(manifest('packages', name).scripts.prepack, 'node ../../scripts/run.js prepack');
    t.end();
  });

  t.test(`${name} says what it is, whose it is and where it comes from`, (t) => {
    const own = manifest('packages', name);
    t.match(own.description, /./);
    t.ok(own.keywords.includes('linux'));
    t.equal(own.author, author);
    t.strictSame(own.bugs, bugs);
    t.strictSame(own.repository, { ...repository, directory: `packages/${name}` });
    t.equal(own.homepage, homepage.replace('#', `/tree/main/packages/${name}#`));
    t.strictSame(own.publishConfig, { access: 'public', provenance: true });
    t.match(text('packages', name, 'README.md'), new RegExp(`^# @sdrx/${name}\n`));
    t.end();
  });

  t.test(`${name} has the licence, and the GPL beside it if it has the BPF program`, (t) => {
    const withBpf = BPF_PACKAGES.includes(name);
    const own = manifest('packages', name);
    t.equal(own.license, withBpf ? 'MIT AND (GPL-2.0-only OR MIT)' : 'MIT');
    t.equal(text('packages', name, 'LICENSE'), text('LICENSE'));
    t.match(text('packages', name, 'README.md'), /^## Licence$/m);
    t.equal(own.files.includes('LICENSES'), withBpf);
    if (withBpf) {
      t.strictSame(readdirSync(join(root, 'packages', name, 'LICENSES')), ['GPL-2.0-only.txt']);
      t.equal(text('packages', name, 'LICENSES', 'GPL-2.0-only.txt'), text('LICENSES', 'GPL-2.0-only.txt'));
    }
    t.end();
  });
}

t.test('what is not published has the same licence', (t) => {
  t.equal(license, 'MIT');
  t.match(text('LICENSE'), /^MIT License\n\nCopyright \(c\) 2026 the sdrx authors\n/);
  for (const folder of ['scripts', 'docs']) t.equal(manifest(folder).license, license, folder);
  t.end();
});

t.test('the changelog has the version that the packages have', (t) => {
  for (const name of names) {
    const { version } = manifest('packages', name);
    t.ok(text('CHANGELOG.md').includes(`\n## ${version} - `), `${name} ${version}`);
  }
  t.end();
});

t.test('each BPF program and header says its licence first, and the programs tell the kernel', (t) => {
  const programs = ['packages', 'examples', 'test'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((path) => /\.bpf\.[ch]$/.test(path) && !path.includes('node_modules'))
      .map((path) => `${folder}/${path}`),
  );
  t.ok(programs.includes('packages/bpf/src/userns-restrict.bpf.c') && programs.includes('examples/forks.bpf.c'));
  for (const path of programs) {
    const source = text(path);
    t.match(source, /^\/\/ SPDX-License-Identifier: \(GPL-2\.0-only OR MIT\)\n/, path);
    if (path.endsWith('.c')) t.match(source, /^LICENSE\("Dual MIT\/GPL"\);$/m, path);
  }
  t.end();
});

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
