import { chmodSync, copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { javaScript } from '../support/command.js';
import { root } from '../support/root.js';
import { thirdPartyLicenses } from './third-party-licenses.js';

const daemon = `${root}/packages/daemon`;

/** Has programs load koffi's native file without what looks for it: see `native-koffi.ts`. */
const nativeKoffi: Plugin = {
  name: 'native-koffi',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^koffi$/ }, () => ({ path: 'koffi', namespace: 'native-koffi' }));
    onLoad({ filter: /.*/, namespace: 'native-koffi' }, () => ({
      contents: `export { nativeKoffi as default } from './dist/program/native-koffi.js';`,
      resolveDir: daemon,
    }));
  },
};

/**
 * Bundles programs of the daemon's src/bin/, once compiled, into one file each, bin/NAME.js: reading rxjs file by file takes longer
 * than all else. Beside it is what V8 makes of it, and bin/NAME, which is called and runs both (`program/start-program.ts`).
 *
 * @param names of the programs; whatever else is in bin/ is removed
 * @param shellPrograms what goes there as it is, by paths below the top folder
 */
export async function bundleDaemon(names: readonly string[], shellPrograms: readonly string[]): Promise<void> {
  const { outputFiles, metafile } = await build({
    absWorkingDir: daemon,
    entryPoints: names.map((name) => `dist/bin/${name}.js`),
    outdir: 'bin',
    write: false,
    bundle: true,
    metafile: true,
    format: 'cjs',
    target: 'node20.19',
    // Not `platform: 'node'`: it picks the CommonJS files of rxjs, io-ts and fp-ts, which cannot be tree-shaken.
    platform: 'neutral',
    conditions: ['es2015', 'module'],
    mainFields: ['module', 'main'],
    // io-ts imports this half of fp-ts: one copy is enough.
    alias: { 'fp-ts/lib': 'fp-ts/es6' },
    // Code that is run by node:vm has no import() (`program/start-program.ts`): it becomes require(), late as well.
    supported: { 'dynamic-import': false },
    external: ['node:*'],
    plugins: [nativeKoffi],
    minifyWhitespace: true,
    minifySyntax: true,
    // esbuild's own 'use strict' follows the banner, where it means nothing.
    banner: {
      js: "(function(require,module,exports,__filename,__dirname){'use strict';const importMetaUrl=require('node:url').pathToFileURL(__filename).href;",
    },
    footer: { js: '})' },
    define: {
      'import.meta.url': 'importMetaUrl',
      'import.meta.filename': '__filename',
      'import.meta.dirname': '__dirname',
      'import.meta.codeCache': 'module.codeCache',
    },
    logLevel: 'warning',
  });
  rmSync(`${daemon}/bin`, { recursive: true, force: true });
  mkdirSync(`${daemon}/bin`);
  writeFileSync(`${daemon}/bin/package.json`, '{ "type": "commonjs" }\n');
  writeFileSync(`${daemon}/bin/THIRD-PARTY-LICENSES`, thirdPartyLicenses(daemon, metafile));
  const start = await startOf();
  for (const { path, text } of outputFiles) {
    writeFileSync(path, text);
    javaScript('scripts/dist/compile/cache-code.js', [path]);
    const program = path.replace(/\.js$/, '');
    writeFileSync(program, start);
    chmodSync(program, 0o755);
  }
  for (const path of shellPrograms) {
    const program = `${daemon}/bin/${basename(path)}`;
    copyFileSync(`${root}/${path}`, program);
    chmodSync(program, 0o755);
  }
}

/** The program that runs the code beside it. */
async function startOf(): Promise<string> {
  const { outputFiles } = await build({
    absWorkingDir: daemon,
    stdin: {
      contents: `import { startProgram } from './dist/program/start-program.js'; startProgram(__filename + '.js', require);`,
      resolveDir: daemon,
    },
    write: false,
    bundle: true,
    format: 'cjs',
    target: 'node20.19',
    platform: 'node',
    banner: { js: '#!/usr/bin/env node' },
    logLevel: 'warning',
  });
  return outputFiles.map(({ text }) => text).join('');
}
