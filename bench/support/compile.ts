import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Folder } from './folder.js';
import { run } from './run.js';

/**
 * Compiles a C program: what produces load must cost less than what is measured.
 * @param path below `bench`, without `.c`
 * @param libraries to link with
 * @returns the program's path
 */
export async function compile(folder: Folder, path: string, libraries: readonly string[] = []): Promise<string> {
  const source = fileURLToPath(new URL(`../../${path}.c`, import.meta.url));
  const program = folder.join(basename(path));
  const warnings = ['-Wall', '-Wextra'];
  await run(['gcc', '-O2', ...warnings, '-pthread', '-o', program, source, ...libraries.map((name) => `-l${name}`)]);
  return program;
}
