import { mkdirSync, readdirSync } from 'node:fs';
import { cachedFolder, cachedPath } from '../support/cache.js';
import { logged } from '../support/command.js';
import { step } from '../support/step.js';
import { aptGet } from './apt.js';
import { isInstalled } from './packages.js';
import { debianRelease } from './release.js';

/** Programs that tests run, which need not be installed. */
export interface UnpackedPrograms {
  /** The folder that they are in, or will be: `/` where they are installed. */
  readonly path: () => string;
  /** Has them be there. Needs root where they are not installed, as apt does. @returns the folder */
  readonly make: () => Promise<string>;
}

/**
 * Programs of Debian's packages, with what these need and this machine has not, unpacked in the cache and not installed: services
 * of theirs would begin to serve on this machine.
 *
 * @param name of the folder
 * @param programs absolute paths, by which it is known whether they are installed
 */
export function unpackedPrograms(
  name: string,
  packages: readonly string[],
  programs: readonly string[],
): UnpackedPrograms {
  const isThere = () => programs.every(isInstalled);
  const inputs = () => [packages, debianRelease(), process.arch];
  return {
    path: () => (isThere() ? '/' : cachedPath(name, inputs())),
    make: async () => {
      if (isThere()) return '/';
      return cachedFolder(name, inputs(), (folder) => step(`unpacking ${name}`, 10, () => unpack(packages, folder)));
    },
  };
}

async function unpack(packages: readonly string[], folder: string): Promise<void> {
  const archives = `${folder}/archives`;
  mkdirSync(`${archives}/partial`, { recursive: true });
  const options = ['--download-only', '--no-install-recommends', '-o', `Dir::Cache::archives=${archives}`];
  await aptGet('install', ...options, ...packages);
  for (const name of readdirSync(archives).filter((name) => name.endsWith('.deb')))
    await logged('dpkg-deb', ['--extract', `${archives}/${name}`, folder]);
}
