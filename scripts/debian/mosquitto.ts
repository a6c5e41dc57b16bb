import { mkdirSync, readdirSync } from 'node:fs';
import { cachedFolder, cachedPath } from '../support/cache.js';
import { logged } from '../support/command.js';
import { step } from '../support/step.js';
import { aptGet } from './apt.js';
import { isInstalled } from './packages.js';
import { debianRelease } from './release.js';

const packages = ['mosquitto', 'mosquitto-clients'];

const inputs = [packages, debianRelease(), process.arch];

const isThere = () => ['/usr/sbin/mosquitto', '/usr/bin/mosquitto_pub'].every(isInstalled);

/** Where `mosquitto` has it, or will have it. */
export function mosquittoPath(): string {
  return isThere() ? '/' : cachedPath('mosquitto', inputs);
}

/**
 * Where the MQTT broker and its clients are that an example is tested with: unpacked in the cache, with what they need and this
 * machine has not. They are not installed, as the broker would begin to serve on this machine. Needs root, as apt does.
 *
 * @returns a folder that has `usr/sbin/mosquitto` in it
 */
export async function mosquitto(): Promise<string> {
  if (isThere()) return '/';
  return cachedFolder('mosquitto', inputs, (folder) => step('unpacking mosquitto', 10, () => unpack(folder)));
}

async function unpack(folder: string): Promise<void> {
  const archives = `${folder}/archives`;
  mkdirSync(`${archives}/partial`, { recursive: true });
  await aptGet(
    'install',
    '--download-only',
    '--no-install-recommends',
    '-o',
    `Dir::Cache::archives=${archives}`,
    ...packages,
  );
  for (const name of readdirSync(archives).filter((name) => name.endsWith('.deb')))
    await logged('dpkg-deb', ['--extract', `${archives}/${name}`, folder]);
}

/** `node scripts/run.js debian/mosquitto` prints its path. */
export async function main(): Promise<void> {
  process.stdout.write(`${await mosquitto()}\n`);
}
