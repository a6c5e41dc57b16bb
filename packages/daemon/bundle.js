import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));

/**
 * Bundles programs of src/bin/, once compiled, into one executable file each, bin/NAME.
 * One small CommonJS file: Node starts it faster than ESM, and reading rxjs file by file takes longer than all else.
 *
 * @param {string[]} names of the programs; whatever else is in bin/ is removed
 */
export async function bundle(names) {
  const { outputFiles } = await build({
    absWorkingDir: here,
    entryPoints: names.map((name) => `dist/bin/${name}.js`),
    outdir: 'bin',
    write: false,
    bundle: true,
    format: 'cjs',
    target: 'node20.19',
    // Not `platform: 'node'`: it picks the CommonJS files of rxjs, io-ts and fp-ts, which cannot be tree-shaken.
    platform: 'neutral',
    conditions: ['es2015', 'module'],
    mainFields: ['module', 'main'],
    // io-ts imports this half of fp-ts: one copy is enough.
    alias: { 'fp-ts/lib': 'fp-ts/es6' },
    // koffi finds its native file beside its own.
    external: ['node:*', 'koffi'],
    minifyWhitespace: true,
    minifySyntax: true,
    // esbuild's own 'use strict' follows the banner, where it means nothing.
    banner: { js: "'use strict';const importMetaUrl=require('node:url').pathToFileURL(__filename).href;" },
    define: {
      'import.meta.url': 'importMetaUrl',
      'import.meta.filename': '__filename',
      'import.meta.dirname': '__dirname',
    },
    logLevel: 'warning',
  });
  await rm(`${here}/bin`, { recursive: true, force: true });
  await mkdir(`${here}/bin`);
  await writeFile(`${here}/bin/package.json`, '{ "type": "commonjs" }\n');
  for (const { path, text } of outputFiles) {
    const program = path.replace(/\.js$/, '');
    await writeFile(program, `#!/usr/bin/env node\n${text.replace(/^#!.*\n/, '')}`);
    await chmod(program, 0o755);
  }
}
