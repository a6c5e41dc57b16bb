import { spawnSync } from 'node:child_process';
import { benchPackages } from './debian-packages.js';
import { main, UserError } from './main.js';
import { root } from './root.js';
import { setup } from './setup.js';
import { compiledFile, sourceFiles } from './sources.js';

await main(import.meta, async () => {
  await setup({ packages: benchPackages });
  const [wanted = ''] = process.argv.slice(2);
  const programs = sourceFiles()
    .filter((path) => path.startsWith('bench/') && path.endsWith('.bench.ts') && path.includes(wanted))
    .sort();
  if (programs.length === 0) throw new UserError(`no benchmark's path contains '${wanted}'`);
  // One after another: they would measure each other.
  const failed = programs.filter((path) => {
    process.stdout.write(`\n# ${path}\n`);
    return spawnSync(process.execPath, [compiledFile(path)], { cwd: root, stdio: 'inherit' }).status !== 0;
  });
  if (failed.length > 0) throw new UserError(`failed: ${failed.join(', ')}`);
});
