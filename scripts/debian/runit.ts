import { unpackedPrograms } from './unpacked.js';

/** The service manager that the daemon is tested with beside systemd. */
export const runit = unpackedPrograms('runit', ['runit'], ['/usr/bin/runsv']);

/** `node scripts/run.js debian/runit` prints its folder. */
export async function main(): Promise<void> {
  process.stdout.write(`${await runit.make()}\n`);
}
