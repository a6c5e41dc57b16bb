import { cachedFolder, cachedPath } from '../support/cache.js';
import { step } from '../support/step.js';
import { UserError } from '../support/user-error.js';
import { debootstrap } from './debootstrap.js';
import { installDebianPackages, testPackages } from './packages.js';

const suite = 'trixie';

/** The real clients of the daemon's API and what they need to start, and Varlink's own library, which ours is certified with. */
const include = ['systemd', 'systemd-container', 'systemd-userdbd', 'libnss-systemd', 'dbus', 'python3-varlink'];

const inputs = [suite, include, process.arch];

/** Where `debianTree` has it, or will have it. */
export function debianTreePath(): string {
  return cachedPath(suite, inputs);
}

/**
 * A folder with a newer Debian's userland, made once a user and kept in the cache. Needs root and a minute.
 *
 * @returns its path
 */
export async function debianTree(): Promise<string> {
  if (process.getuid?.() !== 0) throw new UserError('a Debian tree can only be made by root');
  return cachedFolder(suite, inputs, async (folder) => {
    await installDebianPackages(testPackages);
    await step(`unpacking Debian ${suite}, for real clients of the daemon`, 60, () =>
      debootstrap(suite, include, folder),
    );
  });
}

/** `node scripts/run.js debian/tree` prints its path. */
export async function main(): Promise<void> {
  process.stdout.write(`${await debianTree()}\n`);
}
