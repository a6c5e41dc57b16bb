import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { relative } from 'node:path';
import { build } from 'esbuild';
import { root } from '../root.js';

/** Where a machine has the workspace. */
const place = '/sdrx';

/**
 * Makes bundles of compiled programs, each at its own path, so that they need no other file of the workspace: to read
 * hundreds takes an emulated machine ten seconds.
 *
 * @param {string[]} files paths below the top folder
 * @param {string} tree where the bundles go
 */
export async function bundlePrograms(files, tree) {
  await build({
    absWorkingDir: root,
    entryPoints: files,
    outbase: '.',
    outdir: tree,
    chunkNames: 'test/dist/chunks/[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    // tap looks for files beside its own, as koffi does. ws is none of ESM, and wants to load modules of Node's as it runs.
    external: ['tap', 'ws'],
    plugins: [{ name: 'paths', setup: keepPaths }],
    logLevel: 'warning',
  });
}

/** Code has the path that it had before. @param {import('esbuild').PluginBuild} build */
function keepPaths(build) {
  const inMachine = (/** @type {string} */ path) => `${place}/${relative(root, path)}`;
  build.onLoad({ filter: /\/dist\/.*\.js$/ }, ({ path }) => {
    const text = readFileSync(path, 'utf8');
    if (!text.includes('import.meta.url')) return undefined;
    return { contents: text.replaceAll('import.meta.url', JSON.stringify(`file://${inMachine(path)}`)) };
  });
  const koffi = createRequire(`${root}/packages/linux/package.json`).resolve('koffi');
  build.onResolve({ filter: /^koffi$/ }, () => ({ path: inMachine(koffi), external: true }));
}
