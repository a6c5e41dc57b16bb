import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { command } from './command.js';
import { isInstalled } from './debian-packages.js';
import { say } from './main.js';
import { root } from './root.js';
import { compiledFile } from './sources.js';

/** The program that the bundled daemon loads, which looks for it beside itself. */
const bundled = 'packages/bpf/src/userns-restrict.bpf.c';

/** @param {string[]} sources BPF programs in C @returns {string[]} what is made of them, if there is a compiler */
export function bpfObjects(sources) {
  if (!isInstalled({ name: 'clang', provides: 'clang', why: 'compiles' })) return [];
  return sources.map(compiledFile);
}

/** Compiles BPF programs, if there is a compiler; else those that were compiled before stay. @param {string[]} sources */
export function compileBpf(sources) {
  const objects = bpfObjects(sources);
  if (objects.length < sources.length) say('clang is not installed: BPF programs are not compiled');
  objects.forEach((object, index) => {
    mkdirSync(dirname(`${root}/${object}`), { recursive: true });
    // No path of this machine in the object, so that it is the same wherever it is made.
    const own = [`-fdebug-prefix-map=${root}=.`, `-I${root}/packages/bpf/src`];
    const options = ['-target', 'bpfel', '-O2', '-g', '-Wall', '-Wextra', '-Werror', ...own];
    command('clang', [...options, '-c', sources[index] ?? '', '-o', object]);
  });
  const object = `${root}/${compiledFile(bundled)}`;
  if (existsSync(object)) copyFileSync(object, `${root}/packages/daemon/bin/${basename(object)}`);
}
