import { mkdirSync, readdirSync } from 'node:fs';
import { cachedFolder } from './cache.js';
import { command } from './command.js';
import { debianRelease } from './debian.js';
import { isInstalled } from './debian-packages.js';
import { main, say } from './main.js';

const packages = ['mosquitto', 'mosquitto-clients'];

/**
 * Where the MQTT broker and its clients are that an example is tested with: unpacked in the cache, with what they need and this
 * machine has not. They are not installed, as the broker would begin to serve on this machine. Needs root, as apt does.
 *
 * @returns {string} a folder that has `usr/sbin/mosquitto` in it
 */
export function mosquitto() {
  const wanted = [{ provides: '/usr/sbin/mosquitto' }, { provides: '/usr/bin/mosquitto_pub' }];
  if (wanted.every(({ provides }) => isInstalled({ name: 'mosquitto', provides, why: 'is a broker' }))) return '/';
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

await main(import.meta, () => process.stdout.write(`${mosquitto()}\n`));
