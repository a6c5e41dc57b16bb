import { readdirSync, rmSync } from 'node:fs';
import { root } from '../support/root.js';
import { bpfFiles, compiledFile, filesBelow, projects } from './sources.js';

/**
 * Removes compiled files whose source is gone; tsc leaves them, and a stale test or module would still be found.
 *
 * @param sources all TypeScript files
 */
export function removeOrphans(sources: readonly string[]): void {
  const wanted = new Set([...sources, ...bpfFiles()].map(compiledFile));
  const packages = readdirSync(`${root}/packages`).map((name) => `packages/${name}`);
  for (const path of [...packages, ...projects].flatMap((project) => filesBelow(`${project}/dist`))) {
    const compiled = path.replace(/(\.d\.ts|\.js)(\.map)?$/, '.js');
    if (/\.(js|bpf\.o)$/.test(compiled) && !wanted.has(compiled)) rmSync(`${root}/${path}`);
  }
}
