import { isInstalled } from './packages.js';
import { unpackedPackages, unpackedPath } from './unpacked.js';

const packages = ['runit'];

const isThere = () => isInstalled('/usr/bin/runsv');

/** Where `runit` has it, or will have it. */
export function runitPath(): string {
  return isThere() ? '/' : unpackedPath('runit', packages);
}

/**
 * Where the service manager is that the daemon is tested with beside systemd. Needs root where it is not installed.
 *
 * @returns a folder that has `usr/bin/runsv` in it
 */
export async function runit(): Promise<string> {
  return isThere() ? '/' : unpackedPackages('runit', packages);
}

/** `node scripts/run.js debian/runit` prints its path. */
export async function main(): Promise<void> {
  process.stdout.write(`${await runit()}\n`);
}
