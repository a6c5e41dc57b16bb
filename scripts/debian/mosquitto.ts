import { isInstalled } from './packages.js';
import { unpackedPackages, unpackedPath } from './unpacked.js';

const packages = ['mosquitto', 'mosquitto-clients'];

const isThere = () => ['/usr/sbin/mosquitto', '/usr/bin/mosquitto_pub'].every(isInstalled);

/** Where `mosquitto` has it, or will have it. */
export function mosquittoPath(): string {
  return isThere() ? '/' : unpackedPath('mosquitto', packages);
}

/**
 * Where the MQTT broker and its clients are that an example is tested with. Needs root where they are not installed.
 *
 * @returns a folder that has `usr/sbin/mosquitto` in it
 */
export async function mosquitto(): Promise<string> {
  return isThere() ? '/' : unpackedPackages('mosquitto', packages);
}

/** `node scripts/run.js debian/mosquitto` prints its path. */
export async function main(): Promise<void> {
  process.stdout.write(`${await mosquitto()}\n`);
}
