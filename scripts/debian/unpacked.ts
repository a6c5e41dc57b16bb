import { mkdirSync, readdirSync } from 'node:fs';
import { cachedFolder, cachedPath } from '../support/cache.js';
import { logged } from '../support/command.js';
import { step } from '../support/step.js';
import { aptGet } from './apt.js';
import { debianRelease } from './release.js';

/** Where `unpackedPackages` has them, or will have them. */
export function unpackedPath(name: string, packages: readonly string[]): string {
  return cachedPath(name, inputs(packages));
}

/**
 * Debian's packages, with what they need and this machine has not, unpacked in the cache and not installed: services of theirs would
 * begin to serve on this machine. Needs root, as apt does.
 *
 * @param name of the folder
 * @returns a folder that has `usr` in it
 */
export async function unpackedPackages(name: string, packages: readonly string[]): Promise<string> {
  return cachedFolder(name, inputs(packages), (folder) =>
    step(`unpacking ${name}`, 10, () => unpack(packages, folder)),
  );
}

function inputs(packages: readonly string[]): unknown {
  return [packages, debianRelease(), process.arch];
}

async function unpack(packages: readonly string[], folder: string): Promise<void> {
  const archives = `${folder}/archives`;
  mkdirSync(`${archives}/partial`, { recursive: true });
  const options = ['--download-only', '--no-install-recommends', '-o', `Dir::Cache::archives=${archives}`];
  await aptGet('install', ...options, ...packages);
  for (const name of readdirSync(archives).filter((name) => name.endsWith('.deb')))
    await logged('dpkg-deb', ['--extract', `${archives}/${name}`, folder]);
}
