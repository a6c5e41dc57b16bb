import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { command } from './command.js';
import { installDebianPackages, testPackages } from './debian-packages.js';
import { main, say, UserError } from './main.js';

const suite = 'trixie';

/** The real clients of the daemon's API, and what they need to start. */
const include = ['systemd', 'systemd-container', 'systemd-userdbd', 'libnss-systemd', 'dbus'];

/** Where this machine gets Debian from. apt is asked, since it knows every format of its own sources. */
function debianUri() {
  const [, codename = ''] = readFileSync('/etc/os-release', 'utf8').match(/^VERSION_CODENAME=(.*)$/m) ?? [];
  const format = '$(RELEASE) $(COMPONENT) $(REPO_URI)';
  const targets = execFileSync('apt-get', ['indextargets', '--format', format, 'Created-By: Packages'], {
    encoding: 'utf8',
  });
  const [, uri] = targets.match(new RegExp(`^${codename} main (\\S+)$`, 'm')) ?? [];
  if (!uri) throw new UserError(`apt's sources name no mirror of Debian ${codename} main`);
  return uri;
}

/**
 * A folder with a newer Debian's userland, made once a user and kept in the cache. Needs root and a minute.
 *
 * @returns {string} its path
 */
export function debianTree() {
  if (process.getuid?.() !== 0) throw new UserError('a Debian tree can only be made by root');
  const cache = `${process.env.XDG_CACHE_HOME || `${homedir()}/.cache`}/sdrx`;
  const inputs = createHash('sha256').update(JSON.stringify([suite, include, process.arch]));
  const tree = `${cache}/${suite}-${inputs.digest('hex').slice(0, 12)}`;
  if (existsSync(tree)) return tree;

  installDebianPackages(testPackages);
  say(`unpacking Debian ${suite} into ${tree}`);
  mkdirSync(cache, { recursive: true });
  // Renamed when complete: whoever is interrupted leaves no half tree under the final name.
  const unfinished = mkdtempSync(`${tree}.unfinished-`);
  try {
    // The tree's own root: other users' programs run in it.
    chmodSync(unfinished, 0o755);
    // In a mount namespace of its own, so that a failed debootstrap leaves no /proc mounted in what is removed below.
    const debootstrap = ['debootstrap', '--variant=minbase', `--include=${include}`, suite, unfinished, debianUri()];
    command('unshare', ['--mount', ...debootstrap]);
    publish(unfinished, tree);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return tree;
}

/** @param {string} unfinished @param {string} tree */
function publish(unfinished, tree) {
  try {
    renameSync(unfinished, tree);
  } catch (error) {
    // Another process was faster: its tree is as good.
    if (!existsSync(tree)) throw error;
  }
}

await main(import.meta, () => process.stdout.write(`${debianTree()}\n`));
