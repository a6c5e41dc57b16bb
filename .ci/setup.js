import { build } from './build.js';
import { installDebianPackages, runPackages } from './debian-packages.js';
import { installDependencies } from './dependencies.js';
import { main, UserError } from './main.js';

/**
 * As in package.json's `engines`, which npm only warns of: the first minor release of each major one that has `require` of
 * ES modules. Of a major one that is not here, and newer, all have it.
 *
 * @type {Record<number, number>}
 */
const oldestMinor = { 20: 19, 22: 12 };

function checkMachine() {
  const { platform, versions } = process;
  const [major = 0, minor = 0] = versions.node.split('.').map(Number);
  if (platform !== 'linux') throw new UserError(`sdrx runs on Linux only, not on ${platform}`);
  if (major < 23 && minor < (oldestMinor[major] ?? Infinity)) {
    throw new UserError(`sdrx needs Node 20.19 or newer, or 22.12 or newer; this is ${versions.node}`);
  }
}

/**
 * Brings a checkout, however fresh, to a state that runs. Nearly free when it is there already.
 *
 * @param {{ packages?: import('./debian-packages.js').DebianPackage[] }} [options] Debian packages needed beside those
 *   of the daemon
 */
export async function setup({ packages = [] } = {}) {
  checkMachine();
  installDebianPackages([...runPackages, ...packages]);
  installDependencies();
  await build();
}

await main(import.meta, setup);
