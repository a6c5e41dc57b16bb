import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { UserError } from '../support/user-error.js';

/** The name of this machine's release of Debian, such as bookworm; empty where the system names none. */
export function debianRelease(): string {
  const [, codename = ''] = readFileSync('/etc/os-release', 'utf8').match(/^VERSION_CODENAME=(.*)$/m) ?? [];
  return codename;
}

/** Where this machine gets Debian from. apt is asked, since it knows every format of its own sources. */
export function debianUri(): string {
  const codename = debianRelease();
  const format = '$(RELEASE) $(COMPONENT) $(REPO_URI)';
  const targets = execFileSync('apt-get', ['indextargets', '--format', format, 'Created-By: Packages'], {
    encoding: 'utf8',
  });
  const [, uri] = targets.match(new RegExp(`^${codename} main (\\S+)$`, 'm')) ?? [];
  if (!uri) throw new UserError(`apt's sources name no mirror of Debian ${codename} main`);
  return uri;
}
