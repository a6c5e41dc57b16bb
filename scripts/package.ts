import { mkdirSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { debianPackage, sourceDateEpoch } from './package/debian-package.js';
import { setup } from './setup.js';
import { root } from './support/root.js';
import { UserError } from './support/user-error.js';

function targetFolder(args: readonly string[]): string {
  try {
    const options = { to: { type: 'string', default: `${root}/out` } } as const;
    return parseArgs({ args: [...args], options }).values.to;
  } catch (error) {
    throw new UserError(error instanceof Error ? error.message : String(error));
  }
}

/** `npm run package -- [--to=FOLDER]` makes the Debian package of the daemon, in out/ if not told otherwise, and prints its path. */
export async function main(args: readonly string[]): Promise<void> {
  const folder = targetFolder(args);
  const epoch = sourceDateEpoch();
  await setup();
  mkdirSync(folder, { recursive: true });
  const { version }: { version: string } = JSON.parse(readFileSync(`${root}/packages/daemon/package.json`, 'utf8'));
  process.stdout.write(`${debianPackage({ folder, version, epoch })}\n`);
}
