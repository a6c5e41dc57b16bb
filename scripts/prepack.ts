import { basename } from 'node:path';
import { isInstalled } from './debian/packages.js';
import { setup } from './setup.js';
import { UserError } from './support/user-error.js';

/** Packages that are of no use without the BPF program. */
const withObject = ['bpf', 'daemon'];

/** What a package does before it is packed, in its folder: what goes into a tarball is built, and complete. */
export async function main(): Promise<void> {
  const name = basename(process.cwd());
  await setup();
  if (withObject.includes(name) && !isInstalled('clang')) {
    throw new UserError(
      `clang is not installed, and @sdrx/${name} would be packed without its BPF program, or with an old one`,
    );
  }
}
