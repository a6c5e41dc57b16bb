import { compile } from './compile/compile.js';
import { type DebianPackage, installDebianPackages, runPackages } from './debian/packages.js';

/**
 * Brings a checkout, however fresh, to a state that runs. Nearly free when it is there already. run.js has installed the npm
 * packages.
 *
 * @param packages of Debian, needed beside those of the daemon
 */
export async function setup(packages: readonly DebianPackage[] = []): Promise<void> {
  await installDebianPackages([...runPackages, ...packages]);
  await compile();
}
