import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { root } from '../support/root.js';

/** Loads koffi, and tells which files that took. Its packages have many more: sources, and the native files of other C libraries. */
const program = `
const { createRequire } = require('node:module');
createRequire(process.argv[1])('koffi');
console.log(JSON.stringify(Object.keys(require.cache)));`;

/** @returns what of koffi a program needs on this machine, by its path below node_modules */
export function koffiFiles(): [string, Buffer][] {
  const from = `${root}/packages/linux/package.json`;
  const output = execFileSync(process.execPath, ['--eval', program, from], { encoding: 'utf8', env: {} });
  const loaded: string[] = JSON.parse(output);
  return [...new Set([...loaded, ...loaded.map(manifestOf)])]
    .sort()
    .map((path) => [belowModules(path), readFileSync(path)]);
}

/** That of the package that a file is part of. */
function manifestOf(path: string): string {
  return path.replace(/^(.*\/node_modules\/(?:@[^/]+\/)?[^/]+).*$/, '$1/package.json');
}

function belowModules(path: string): string {
  return path.replace(/^.*\/node_modules\//, '');
}
