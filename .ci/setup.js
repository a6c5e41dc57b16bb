import { build } from './build.js';
import { installDebianPackages, runPackages } from './debian-packages.js';
import { installDependencies } from './dependencies.js';
import { UserError } from './main.js';

/** As in package.json's `engines`; checked here since npm only warns. */
const oldestNode = [20, 19];

function checkMachine() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const [oldestMajor = 0, oldestMinor = 0] = oldestNode;
  if (process.platform !== 'linux') throw new UserError(`sdrx runs on Linux only, not on ${process.platform}`);
  if (major < oldestMajor || (major === oldestMajor && minor < oldestMinor)) {
    throw new UserError(`sdrx needs Node ${oldestNode.join('.')} or newer; this is ${process.versions.node}`);
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
