import { cachedFolder } from '../support/cache.js';
import { say } from '../support/say.js';
import { UserError } from '../support/user-error.js';
import { debootstrap } from './debootstrap.js';
import { installDebianPackages, testPackages } from './packages.js';

const suite = 'trixie';

/** The real clients of the daemon's API and what they need to start, and Varlink's own library, which ours is certified with. */
const include = ['systemd', 'systemd-container', 'systemd-userdbd', 'libnss-systemd', 'dbus', 'python3-varlink'];

/**
 * A folder with a newer Debian's userland, made once a user and kept in the cache. Needs root and a minute.
 *
 * @returns its path
 */
export function debianTree(): string {
  if (process.getuid?.() !== 0) throw new UserError('a Debian tree can only be made by root');
  return cachedFolder(suite, [suite, include, process.arch], (folder) => {
    installDebianPackages(testPackages);
    say(`unpacking Debian ${suite} into ${folder}`);
    debootstrap(suite, include, folder);
  });
}

/** `node scripts/run.js debian/tree` prints its path. */
export function main(): void {
  process.stdout.write(`${debianTree()}\n`);
}
