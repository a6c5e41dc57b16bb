import { existsSync, mkdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { build, type PluginBuild } from 'esbuild';
import { root } from '../support/root.js';

/** Where compiled tests look for packages first. */
const folder = `${root}/test/dist/node_modules`;

/** By the name of the folder tap knows its own lines, which it leaves out of what it tells of a failure. */
const bundle = `${folder}/@tapjs/tap`;

/**
 * Makes one file of tap's some three hundred, so that each test begins in half the time.
 *
 * @param test the file with the generated class
 */
export async function bundleTap(test: string): Promise<void> {
  const result = `${bundle}/index.js`;
  const inputs = [test, `${root}/pnpm-lock.yaml`];
  if (existsSync(result) && inputs.every((path) => statSync(path).mtimeMs < statSync(result).mtimeMs)) return;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(bundle, { recursive: true });
  await build({
    stdin: { contents: `export * from 'tap'; export { default } from 'tap';`, resolveDir: root },
    outfile: result,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    // Some of what it needs is no ES module, and loads modules of Node's as it runs.
    banner: {
      js: `import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);`,
    },
    plugins: [{ name: 'no React', setup: leaveOutReact }],
    logLevel: 'warning',
  });
  const manifest = { name: 'tap', type: 'module', exports: './index.js' };
  writeFileSync(`${bundle}/package.json`, JSON.stringify(manifest));
  symlinkSync('@tapjs/tap', `${folder}/tap`);
}

/** tap shows React's elements in their own language, and loads React for that. Here nobody has such. */
function leaveOutReact(build: PluginBuild): void {
  build.onLoad({ filter: /tcompare.dist.esm.react-element-to-jsx-string\.js$/ }, () => ({
    contents: 'export default String;',
  }));
}
