import { mkdirSync, readdirSync } from 'node:fs';
import { cachedFolder } from '../support/cache.js';
import { command } from '../support/command.js';
import { say } from '../support/say.js';
import { isInstalled } from './packages.js';
import { debianRelease } from './release.js';

const packages = ['mosquitto', 'mosquitto-clients'];

/**
 * Where the MQTT broker and its clients are that an example is tested with: unpacked in the cache, with what they need and this
 * machine has not. They are not installed, as the broker would begin to serve on this machine. Needs root, as apt does.
 *
 * @returns a folder that has `usr/sbin/mosquitto` in it
 */
export function mosquitto(): string {
  if (['/usr/sbin/mosquitto', '/usr/bin/mosquitto_pub'].every(isInstalled)) return '/';
  return cachedFolder('mosquitto', [packages, debianRelease(), process.arch], (folder) => {
    say(`unpacking mosquitto into ${folder}`);
    const archives = `${folder}/archives`;
    mkdirSync(`${archives}/partial`, { recursive: true });
    command('apt-get', ['-q', 'update']);
    const options = ['--download-only', '--no-install-recommends', '-o', `Dir::Cache::archives=${archives}`];
    command('apt-get', ['-q', '-y', 'install', ...options, ...packages]);
    for (const name of readdirSync(archives).filter((name) => name.endsWith('.deb')))
      command('dpkg-deb', ['--extract', `${archives}/${name}`, folder]);
  });
}

/** `node scripts/run.js debian/mosquitto` prints its path. */
export function main(): void {
  process.stdout.write(`${mosquitto()}\n`);
}
