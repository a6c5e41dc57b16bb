import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { javaScript } from '../support/command.js';
import { root } from '../support/root.js';
import { step } from '../support/step.js';
import { bpfObjects, compileBpf } from './bpf.js';
import { removeOrphans } from './orphans.js';
import { bpfFiles, buildSettings, compiledFile, fingerprint, shellPrograms, sourceFiles } from './sources.js';

/** The fingerprint of what was last built. In node_modules: a fresh installation brings a fresh compiler. */
const stamp = `${root}/node_modules/.cache/sdrx/built`;

/** The daemon's, each of which becomes one file. */
const programs = ['nsresourced', 'nsresourcework', 'nsresourcectl-main', 'nsresourcectl-hold'];

/** Whose modules become one file each. Not those of bpf, which looks for the program that it loads beside its module. */
const libraries = ['linux', 'event', 'varlink'];

/** Compiles and bundles what is stale. Costs a few milliseconds when nothing is. */
export async function compile(): Promise<void> {
  const sources = sourceFiles();
  const names = programs.filter((name) => sources.includes(`packages/daemon/src/bin/${name}.ts`));
  const compiled = sources.filter((path) => !path.endsWith('.d.ts')).map(compiledFile);
  const bpf = bpfFiles().filter((path) => path.endsWith('.c'));
  const results = [
    ...compiled,
    ...bpfObjects(bpf),
    ...names.flatMap((name) => [`packages/daemon/bin/${name}`, `packages/daemon/bin/${name}.js`]),
    ...shellPrograms().map((path) => `packages/daemon/bin/${basename(path)}`),
    ...libraries.map((name) => `packages/${name}/lib/index.js`),
  ];
  const complete = () => results.every((path) => existsSync(`${root}/${path}`));
  const state = fingerprint([...sources, ...shellPrograms(), ...bpfFiles(), ...buildSettings()]);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === state && complete()) return;

  await step('building', 15, async () => {
    removeOrphans(sources);
    tsc();
    // tsc trusts its own notes and does not miss a file that someone removed.
    if (!compiled.every((path) => existsSync(`${root}/${path}`))) tsc('--force');
    // Imported when needed: to load esbuild takes as long as all else when nothing is stale.
    const { bundleLibraries } = await import('./bundle-libraries.js');
    const { bundleDaemon } = await import('./bundle-daemon.js');
    await bundleLibraries(libraries);
    await bundleDaemon(names, shellPrograms());
    compileBpf(bpf);
  });
  mkdirSync(`${root}/node_modules/.cache/sdrx`, { recursive: true });
  writeFileSync(stamp, state);
}

function tsc(...options: readonly string[]): void {
  javaScript('node_modules/typescript/bin/tsc', ['--build', ...options]);
}
