import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { isInstalled } from '../debian/packages.js';
import { command } from '../support/command.js';
import { root } from '../support/root.js';
import { say } from '../support/say.js';
import { compiledFile } from './sources.js';

/** The program that the bundled daemon loads, which looks for it beside itself. */
const bundled = 'packages/bpf/src/userns-restrict.bpf.c';

/**
 * @param sources BPF programs in C
 * @returns what is made of them, if there is a compiler
 */
export function bpfObjects(sources: readonly string[]): string[] {
  return isInstalled('clang') ? sources.map(compiledFile) : [];
}

/** Compiles BPF programs in C, if there is a compiler; else those that were compiled before stay. */
export function compileBpf(sources: readonly string[]): void {
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
