import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { command } from './command.js';
import { UserError } from './main.js';

/** The name of this machine's release of Debian, such as bookworm; empty where the system names none. */
export function debianRelease() {
  const [, codename = ''] = readFileSync('/etc/os-release', 'utf8').match(/^VERSION_CODENAME=(.*)$/m) ?? [];
  return codename;
}

/** Where this machine gets Debian from. apt is asked, since it knows every format of its own sources. */
export function debianUri() {
  const codename = debianRelease();
  const format = '$(RELEASE) $(COMPONENT) $(REPO_URI)';
  const targets = execFileSync('apt-get', ['indextargets', '--format', format, 'Created-By: Packages'], {
    encoding: 'utf8',
  });
  const [, uri] = targets.match(new RegExp(`^${codename} main (\\S+)$`, 'm')) ?? [];
  if (!uri) throw new UserError(`apt's sources name no mirror of Debian ${codename} main`);
  return uri;
}

/**
 * Unpacks a Debian with its packages into an empty folder. Needs root and a minute.
 *
 * @param {string} suite such as trixie
 * @param {readonly string[]} packages beside the least there can be
 * @param {string} folder
 */
export function debootstrap(suite, packages, folder) {
  // In a mount namespace of its own, so that a failure leaves no /proc mounted in a folder that is then removed.
  const include = `--include=${packages.join(',')}`;
  command('unshare', ['--mount', 'debootstrap', '--variant=minbase', include, suite, folder, debianUri()]);
}
