import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { bpfObjects, compileBpf } from './bpf.js';
import { bundledLibraries, bundleLibraries } from './bundle-libraries.js';
import { script } from './command.js';
import { say } from './main.js';
import { root } from './root.js';
import { bpfFiles, buildSettings, compiledFile, fingerprint, removeOrphans, sourceFiles } from './sources.js';

/** The fingerprint of what was last built. In node_modules: a fresh installation brings a fresh compiler. */
const stamp = `${root}/node_modules/.cache/sdrx/built`;

const programs = ['nsresourced', 'nsresourcework', 'nsresourcectl'];

/** Compiles and bundles what is stale. Costs a few milliseconds when nothing is. */
export async function build() {
  const sources = sourceFiles();
  const names = programs.filter((name) => sources.includes(`packages/daemon/src/bin/${name}.ts`));
  const compiled = sources.filter((path) => !path.endsWith('.d.ts')).map(compiledFile);
  const bpf = bpfFiles().filter((path) => path.endsWith('.c'));
  const results = [
    ...compiled,
    ...bpfObjects(bpf),
    ...names.map((name) => `packages/daemon/bin/${name}`),
    ...bundledLibraries,
  ];
  const complete = () => results.every((path) => existsSync(`${root}/${path}`));
  const state = fingerprint([...sources, ...bpfFiles(), ...buildSettings()]);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === state && complete()) return;

  say('building');
  removeOrphans(sources);
  tsc([]);
  // tsc trusts its own notes and does not miss a file that someone removed.
  if (!compiled.every((path) => existsSync(`${root}/${path}`))) tsc(['--force']);
  await bundleLibraries();
  const { bundle } = await import('../packages/daemon/bundle.js');
  await bundle(names);
  compileBpf(bpf);
  mkdirSync(`${root}/node_modules/.cache/sdrx`, { recursive: true });
  writeFileSync(stamp, state);
}

/** @param {string[]} options */
function tsc(options) {
  script('node_modules/typescript/bin/tsc', ['--build', ...options]);
}
