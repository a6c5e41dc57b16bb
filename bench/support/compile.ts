import { fileURLToPath } from 'node:url';
import type { Folder } from './folder.js';
import { run } from './run.js';

/** Compiles a C program of this folder: what produces load must cost less than what is measured. @returns its path */
export async function compile(folder: Folder, name: string): Promise<string> {
  const source = fileURLToPath(new URL(`../../support/${name}.c`, import.meta.url));
  const program = folder.join(name);
  await run(['gcc', '-O2', '-Wall', '-pthread', '-o', program, source]);
  return program;
}
