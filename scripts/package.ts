import { mkdirSync, readFileSync } from 'node:fs';
import { debianPackage, sourceDateEpoch } from './package/debian-package.js';
import { setup } from './setup.js';
import { root } from './support/root.js';

/** `npm run package` makes the Debian package of the daemon, and prints its path. */
export async function main(): Promise<void> {
  await setup();
  const folder = `${root}/out`;
  mkdirSync(folder, { recursive: true });
  const { version }: { version: string } = JSON.parse(readFileSync(`${root}/packages/daemon/package.json`, 'utf8'));
  process.stdout.write(`${debianPackage({ folder, version, epoch: sourceDateEpoch() })}\n`);
}
