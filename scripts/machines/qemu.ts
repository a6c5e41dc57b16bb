import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { aptGet, newSources } from '../debian/apt.js';
import { debianRelease, debianUri } from '../debian/release.js';
import { say } from '../support/say.js';
import { step } from '../support/step.js';
import { UserError } from '../support/user-error.js';

/** Older ones get atomic operations wrong, which crashes newer kernels at random. */
const oldestQemu = 10;

const suite = 'bookworm-backports';
const sources = `/etc/apt/sources.list.d/${suite}.sources`;

/** @returns the major release; 0 if there is none */
function installedQemu(): number {
  try {
    const version = execFileSync('qemu-system-x86_64', ['--version'], { encoding: 'utf8' });
    return Number(version.match(/version (\d+)/)?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** Makes sure that there is a QEMU which can run the machines; on Debian 12 it comes from backports. */
export async function installQemu(): Promise<void> {
  if (installedQemu() >= oldestQemu) return;
  const needed = `the virtual machines need qemu-system-x86 ${oldestQemu} or newer`;
  if (process.getuid?.() !== 0) throw new UserError(`${needed}: as root, npm run test:vm installs it`);
  const from: string[] = [];
  if (debianRelease() === 'bookworm') {
    from.push('--target-release', suite);
    if (!execFileSync('apt-cache', ['policy'], { encoding: 'utf8' }).includes(`n=${suite},`)) {
      say(`adding ${suite} to apt's sources, as ${sources}`);
      const keys = '/usr/share/keyrings/debian-archive-keyring.gpg';
      writeFileSync(
        sources,
        `Types: deb\nURIs: ${debianUri()}\nSuites: ${suite}\nComponents: main\nSigned-By: ${keys}\n`,
      );
      newSources();
    }
  }
  await step('installing qemu-system-x86', 30, () =>
    aptGet('install', '--no-install-recommends', ...from, 'qemu-system-x86'),
  );
  if (installedQemu() < oldestQemu) throw new UserError(`${needed}, but apt's sources have none`);
}
