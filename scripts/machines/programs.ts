import { mkdirSync, readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { compiledFile } from '../compile/sources.js';
import { logged } from '../support/command.js';
import { root } from '../support/root.js';

/** Folders of C sources, each of which is one program that tests run in machines, and the program's name. */
const programs = { 'test/bpf/matrix/program': 'attempts' };

/**
 * Compiles the programs in C. They have the C library within, since that of a machine may be older than the host's.
 *
 * @param tree where they go, each beside what is compiled of its folder
 */
export async function compilePrograms(tree: string): Promise<void> {
  for (const [folder, name] of Object.entries(programs)) {
    const sources = readdirSync(`${root}/${folder}`).filter((file) => file.endsWith('.c'));
    const target = `${tree}/${compiledFile(`${folder}/${name}`)}`;
    mkdirSync(dirname(target), { recursive: true });
    const options = ['-D_GNU_SOURCE', '-std=gnu17', '-O1', '-static', '-Wall', '-Wextra', '-Werror'];
    await logged('gcc', [...options, '-o', target, ...sources.map((file) => `${root}/${folder}/${file}`)]);
  }
}
