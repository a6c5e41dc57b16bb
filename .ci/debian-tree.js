import { cachedFolder } from './cache.js';
import { debootstrap } from './debian.js';
import { installDebianPackages, testPackages } from './debian-packages.js';
import { main, say, UserError } from './main.js';

const suite = 'trixie';

/** The real clients of the daemon's API and what they need to start, and Varlink's own library, which ours is certified with. */
const include = ['systemd', 'systemd-container', 'systemd-userdbd', 'libnss-systemd', 'dbus', 'python3-varlink'];

/**
 * A folder with a newer Debian's userland, made once a user and kept in the cache. Needs root and a minute.
 *
 * @returns {string} its path
 */
export function debianTree() {
  if (process.getuid?.() !== 0) throw new UserError('a Debian tree can only be made by root');
  return cachedFolder(suite, [suite, include, process.arch], (folder) => {
    installDebianPackages(testPackages);
    say(`unpacking Debian ${suite} into ${folder}`);
    debootstrap(suite, include, folder);
  });
}

await main(import.meta, () => process.stdout.write(`${debianTree()}\n`));
