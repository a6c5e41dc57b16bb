import { spawnSync } from 'node:child_process';
import { compiledFile, sourceFiles } from './compile/sources.js';
import { benchPackages } from './debian/packages.js';
import { setup } from './setup.js';
import { root } from './support/root.js';
import { UserError } from './support/user-error.js';

/** `npm run bench -- [part of a benchmark's path...]` */
export async function main(parts: readonly string[]): Promise<void> {
  const programs = sourceFiles().filter((path) => path.startsWith('bench/') && path.endsWith('.bench.ts'));
  const strange = parts.filter((part) => !programs.some((path) => path.includes(part)));
  if (strange.length > 0) throw new UserError(`no benchmark's path contains ${strange.join(' or ')}`);
  const wanted = programs.filter((path) => parts.length === 0 || parts.some((part) => path.includes(part))).sort();
  await setup(benchPackages);
  // One after another: they would measure each other.
  const failed = wanted.filter((path) => {
    process.stdout.write(`\n# ${path}\n`);
    return spawnSync(process.execPath, [compiledFile(path)], { cwd: root, stdio: 'inherit' }).status !== 0;
  });
  if (failed.length > 0) throw new UserError(`failed: ${failed.join(', ')}`);
}
