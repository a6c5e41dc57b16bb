import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { root } from './root.js';

/** Folders of TypeScript beside packages/: each is one project that compiles into its own dist/. */
const projects = ['examples', 'test', 'bench'];

/** @param {string} folder below the top folder @returns {string[]} paths below the top folder */
function filesBelow(folder) {
  if (!existsSync(`${root}/${folder}`)) return [];
  return readdirSync(`${root}/${folder}`, { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (!entry.isDirectory()) return [path];
    return ['node_modules', 'dist', 'bin'].includes(entry.name) && !folder.endsWith('/src') ? [] : filesBelow(path);
  });
}

/** @returns {string[]} every TypeScript file of the workspace, as a path below its top folder */
export function sourceFiles() {
  return ['packages', ...projects].flatMap(filesBelow).filter((path) => path.endsWith('.ts'));
}

/** Tests that do what others do, but for long: only if they are asked for. */
export const soak = 'test/soak/';

/** @param {string[]} filters parts of paths; none: all but the soak @returns {string[]} the tests that are wanted */
export function wantedTests(filters) {
  const tests = sourceFiles().filter((path) => path.startsWith('test/') && path.endsWith('.test.ts'));
  const isWanted = (/** @type {string} */ path) =>
    filters.length === 0 ? !path.startsWith(soak) : filters.some((filter) => path.includes(filter));
  return tests.filter(isWanted).sort();
}

/** @returns {string[]} every BPF program in C, and their headers, as paths below the top folder */
export function bpfFiles() {
  return ['packages', ...projects].flatMap(filesBelow).filter((path) => /\.bpf\.[ch]$/.test(path));
}

/** @returns {string[]} what else decides the result of a build */
export function buildSettings() {
  const folders = ['packages', ...projects].flatMap(filesBelow);
  const own = readdirSync(`${root}/.ci`).map((name) => `.ci/${name}`);
  return ['tsconfig.json', 'pnpm-lock.yaml', ...own, ...folders].filter((path) =>
    [
      'tsconfig.json',
      'package.json',
      'pnpm-lock.yaml',
      'bundle.js',
      'bundle-libraries.js',
      'build.js',
      'bpf.js',
      'sources.js',
    ].includes(basename(path)),
  );
}

/**
 * @param {string} source path of a TypeScript file, or of a BPF program in C
 * @returns {string} path of the JavaScript that tsc makes of it, or of the object file that clang does
 */
export function compiledFile(source) {
  return source
    .replace(/^(packages\/[^/]+)\/src\//, '$1/dist/')
    .replace(/^(examples|test|bench)\//, '$1/dist/')
    .replace(/\.ts$/, '.js')
    .replace(/\.bpf\.c$/, '.bpf.o');
}

/**
 * Removes compiled files whose source is gone; tsc leaves them, and a stale test or module would still be found.
 *
 * @param {string[]} sources
 */
export function removeOrphans(sources) {
  const wanted = new Set([...sources, ...bpfFiles()].map(compiledFile));
  const packages = readdirSync(`${root}/packages`).map((name) => `packages/${name}`);
  for (const path of [...packages, ...projects].flatMap((project) => filesBelow(`${project}/dist`))) {
    const compiled = path.replace(/(\.d\.ts|\.js)(\.map)?$/, '.js');
    if (/\.(js|bpf\.o)$/.test(compiled) && !wanted.has(compiled)) rmSync(`${root}/${path}`);
  }
}

/** @param {string[]} paths @returns {string} changes when one of the files does */
export function fingerprint(paths) {
  return paths
    .map((path) => {
      const { size, mtimeMs } = statSync(`${root}/${path}`);
      return `${path} ${size} ${mtimeMs}\n`;
    })
    .join('');
}
