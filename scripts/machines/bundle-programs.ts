import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { relative } from 'node:path';
import { build, type PluginBuild } from 'esbuild';
import { root } from '../support/root.js';

/** Where a machine has the workspace. */
const place = '/sdrx';

/**
 * Makes bundles of compiled programs, each at its own path, so that they need no other file of the workspace: to read
 * hundreds takes an emulated machine ten seconds.
 *
 * @param files paths below the top folder
 * @param tree where the bundles go
 */
export async function bundlePrograms(files: readonly string[], tree: string): Promise<void> {
  await build({
    absWorkingDir: root,
    entryPoints: [...files],
    outbase: '.',
    outdir: tree,
    chunkNames: 'test/dist/chunks/[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    // tap is one file already, beside the tests. ws is none of ESM, and wants to load modules of Node's as it runs.
    external: ['tap', 'ws'],
    plugins: [{ name: 'paths', setup: keepPaths }],
    logLevel: 'warning',
  });
}

/** Code has the path that it had before. */
function keepPaths(build: PluginBuild): void {
  const inMachine = (path: string) => `${place}/${relative(root, path)}`;
  build.onLoad({ filter: /\/dist\/.*\.js$/ }, ({ path }) => {
    const text = readFileSync(path, 'utf8');
    if (!text.includes('import.meta.url')) return undefined;
    return { contents: text.replaceAll('import.meta.url', JSON.stringify(`file://${inMachine(path)}`)) };
  });
  const koffi = createRequire(`${root}/packages/linux/package.json`).resolve('koffi');
  build.onResolve({ filter: /^koffi$/ }, () => ({ path: inMachine(koffi), external: true }));
}
