import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { inFolder } from './debian-tree.js';
import { needsRoot } from './privileges.js';

/** The programs of the newest systemd that Debian has; `npm test` unpacks them. */
export const testingSystemd = process.env.SDRX_TESTING_SYSTEMD ?? '';

/** Options for a test that runs one of them. */
export const needsTestingSystemd = existsSync(testingSystemd)
  ? needsRoot
  : { skip: "SDRX_TESTING_SYSTEMD names no folder with Debian testing's systemd: npm test unpacks it as root" };

/** The command that runs one of them, with a runtime directory of ours as its /run/systemd. */
export function inTestingSystemd(runtimeDirectory: string, ...command: readonly string[]): [string, ...string[]] {
  const [file = '', ...args] = inFolder(testingSystemd, runtimeDirectory, ...command);
  return [file, ...args];
}

/** Runs one of them to its end. @returns what it printed; rejects if it fails */
export async function testingSystemdOutput(runtimeDirectory: string, ...command: readonly string[]): Promise<string> {
  const [file, ...args] = inTestingSystemd(runtimeDirectory, ...command);
  const { SYSTEMD_LOG_LEVEL: _, ...env } = process.env;
  const { stdout } = await promisify(execFile)(file, args, { env, maxBuffer: 64 * 1024 * 1024 });
  return stdout;
}
