import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { installDebianPackages, vmProgramPackages } from '../debian/packages.js';
import { logged } from '../support/command.js';
import { root } from '../support/root.js';
import { bundlePrograms } from './bundle-programs.js';
import type { Machine } from './machines.js';
import { packagesOf } from './packages.js';
import { compilePrograms } from './programs.js';

/** Packages of the workspace that no test needs to run, and that are large. */
const left =
  /^(@biomejs|@typescript|typescript|typedoc|tap$|tap@|@tapjs|react|@esbuild|esbuild|@shikijs|es-toolkit|prismjs|lunr|node-gyp|node-linux|tshy)\b/;

/** What the machine gets of each package, where there is such. */
const packageParts = ['package.json', 'node_modules', 'dist', 'lib', 'bin', 'polkit', 'systemd'];

/** Which compiled files run where. */
export interface MachineTests {
  /** Where they find what they are: that of the machine, or of a container of its system. */
  readonly name: string;
  readonly machine: Machine;
  readonly tests: readonly string[];
  /** Whether they were asked for by parts of their paths. */
  readonly named: boolean;
}

/**
 * Makes the disk that brings this Node, the built packages and the compiled tests into all machines.
 *
 * @param folder where the disk is made
 * @returns the disk's path
 */
export async function payloadDisk(folder: string, runs: readonly MachineTests[]): Promise<string> {
  const tree = `${folder}/payload`;
  await installDebianPackages(vmProgramPackages);
  rmSync(tree, { recursive: true, force: true });
  const put = async (path: string, place = path) => {
    const target = `${tree}/${place}`;
    mkdirSync(target.replace(/\/[^/]*$/, ''), { recursive: true });
    // Hard links: nothing writes to the tree. cp(1) makes them of whole folders.
    await logged('cp', ['--archive', '--link', `${root}/${path}`, target]);
  };
  for (const name of readdirSync(`${root}/node_modules`)) {
    if (!name.startsWith('.') && !left.test(name)) await put(`node_modules/${name}`);
  }
  mkdirSync(`${tree}/node_modules/.pnpm`, { recursive: true });
  const stored = readdirSync(`${root}/node_modules/.pnpm`).filter((name) => !left.test(name));
  const paths = stored.map((name) => `${root}/node_modules/.pnpm/${name}`);
  await logged('cp', ['--archive', '--link', ...paths, `${tree}/node_modules/.pnpm`]);
  for (const name of readdirSync(`${root}/packages`)) {
    for (const part of packageParts)
      if (existsSync(`${root}/packages/${name}/${part}`)) await put(`packages/${name}/${part}`);
  }
  const compiled = readdirSync(`${root}/test/dist`, { recursive: true, encoding: 'utf8' }).map(
    (path) => `test/dist/${path}`,
  );
  const objects = compiled.filter((path) => path.endsWith('.bpf.o'));
  for (const path of ['package.json', 'docs/ten-minutes.md', ...objects]) await put(path);
  // At a place that does not change with the folders here: a unit in the machines' images names it.
  await put('scripts/machines/guest/run-tests', 'guest/run-tests');
  await put('test/dist/node_modules');
  await put('scripts/dist/machines/guest/run-tests.js', 'test/dist/run-tests.js');
  const programs = compiled.filter((path) =>
    /\/bpf\/programs\/.*\.js$|\/event\/programs\/(sleeper|kept-service)\.js$/.test(path),
  );
  // Services that systemd runs, with their units.
  await put('examples/http-service');
  programs.push('examples/dist/http-service.js', 'packages/event/dist/bin/sdrx-control.js');
  for (const path of programs) rmSync(`${tree}/${path}`, { force: true });
  await bundlePrograms([...new Set(runs.flatMap(({ tests }) => tests)), ...programs], tree);
  await compilePrograms(tree);
  if (runs.some(({ tests }) => tests.some((path) => path.includes('/vm/package.')))) packagesOf(tree);
  mkdirSync(`${tree}/bin`);
  copyFileSync(realpathSync(process.execPath), `${tree}/bin/node`);
  for (const { name, machine, tests, named } of runs) {
    const own = `${tree}/machines/${name}`;
    mkdirSync(own, { recursive: true });
    // Before the machine is turned off, so that it is told which test took so long.
    writeFileSync(`${own}/limit`, `${machine.limit - 90}\n`);
    writeFileSync(`${own}/tests`, tests.map((path) => `${path}\n`).join(''));
    if (named) writeFileSync(`${own}/named`, '');
  }

  const [size = ''] = execFileSync('du', ['--summarize', '--block-size=M', tree], { encoding: 'utf8' }).split('M');
  const disk = `${folder}/payload.img`;
  rmSync(disk, { force: true });
  // Small files take whole blocks and inodes.
  await logged('mke2fs', ['-q', '-t', 'ext4', '-O', '^has_journal', '-d', tree, disk, `${Number(size) + 128}M`]);
  rmSync(tree, { recursive: true });
  return disk;
}
