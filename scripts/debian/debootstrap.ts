import { logged } from '../support/command.js';
import { debianUri } from './release.js';

/**
 * Unpacks a Debian with its packages into an empty folder. Needs root and a minute. debootstrap(8)
 *
 * @param suite such as trixie
 * @param packages beside the least there can be
 */
export async function debootstrap(suite: string, packages: readonly string[], folder: string): Promise<void> {
  // In a mount namespace of its own, so that a failure leaves no /proc mounted in a folder that is then removed.
  const include = `--include=${packages.join(',')}`;
  await logged('unshare', ['--mount', 'debootstrap', '--variant=minbase', include, suite, folder, debianUri()]);
}
