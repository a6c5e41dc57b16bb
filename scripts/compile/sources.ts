import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { root } from '../support/root.js';

/** Folders of TypeScript beside packages/: each is one project that compiles into its own dist/. */
export const projects = ['examples', 'docs', 'test', 'bench'];

/**
 * @param folder below the top folder
 * @returns paths below the top folder
 */
export function filesBelow(folder: string): string[] {
  if (!existsSync(`${root}/${folder}`)) return [];
  return readdirSync(`${root}/${folder}`, { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (!entry.isDirectory()) return [path];
    return ['node_modules', 'dist', 'bin'].includes(entry.name) && !folder.endsWith('/src') ? [] : filesBelow(path);
  });
}

/** @returns every TypeScript file of packages/ and the projects beside it, as a path below the top folder */
export function sourceFiles(): string[] {
  return ['packages', ...projects].flatMap(filesBelow).filter((path) => path.endsWith('.ts'));
}

/** @returns the daemon's programs that begin as a shell script, as paths below the top folder */
export function shellPrograms(): string[] {
  return filesBelow('packages/daemon/src/bin').filter((path) => !basename(path).includes('.'));
}

/** @returns every BPF program in C, and their headers, as paths below the top folder */
export function bpfFiles(): string[] {
  return ['packages', ...projects].flatMap(filesBelow).filter((path) => /\.bpf\.[ch]$/.test(path));
}

/** @returns what else decides the result of a build */
export function buildSettings(): string[] {
  const settings = ['packages', ...projects]
    .flatMap(filesBelow)
    .filter((path) => ['tsconfig.json', 'package.json'].includes(basename(path)));
  return ['tsconfig.json', 'pnpm-lock.yaml', ...filesBelow('scripts/compile'), ...settings];
}

/**
 * @param source path of a TypeScript file, or of a BPF program in C
 * @returns path of the JavaScript that tsc makes of it, or of the object file that clang does
 */
export function compiledFile(source: string): string {
  return source
    .replace(/^(packages\/[^/]+)\/src\//, '$1/dist/')
    .replace(/^(examples|docs|test|bench)\//, '$1/dist/')
    .replace(/\.ts$/, '.js')
    .replace(/\.bpf\.c$/, '.bpf.o');
}

/** Changes when one of the files does. */
export function fingerprint(paths: readonly string[]): string {
  return paths
    .map((path) => {
      const { size, mtimeMs } = statSync(`${root}/${path}`);
      return `${path} ${size} ${mtimeMs}\n`;
    })
    .join('');
}
