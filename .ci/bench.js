import { spawnSync } from 'node:child_process';
import { benchPackages } from './debian-packages.js';
import { main, UserError } from './main.js';
import { root } from './root.js';
import { setup } from './setup.js';
import { compiledFile, sourceFiles } from './sources.js';

/** `npm run bench -- [part of a benchmark's path...]` */
await main(import.meta, async () => {
  const programs = sourceFiles().filter((path) => path.startsWith('bench/') && path.endsWith('.bench.ts'));
  const parts = process.argv.slice(2);
  const strange = parts.filter((part) => !programs.some((path) => path.includes(part)));
  if (strange.length > 0) throw new UserError(`no benchmark's path contains ${strange.join(' or ')}`);
  const wanted = programs.filter((path) => parts.length === 0 || parts.some((part) => path.includes(part))).sort();
  await setup({ packages: benchPackages });
  // One after another: they would measure each other.
  const failed = wanted.filter((path) => {
    process.stdout.write(`\n# ${path}\n`);
    return spawnSync(process.execPath, [compiledFile(path)], { cwd: root, stdio: 'inherit' }).status !== 0;
  });
  if (failed.length > 0) throw new UserError(`failed: ${failed.join(', ')}`);
});
