import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { cachedFolder, cachedPath } from '../support/cache.js';
import { logged } from '../support/command.js';
import { step } from '../support/step.js';
import { UserError } from '../support/user-error.js';
import { debianUri } from './release.js';

/** The suite is what apt keyrings of the releases before it know. */
const suite = 'testing';

/** systemd, what makes journals and collects metrics, and what every system has, as little as there can be. */
const packages = ['base-files', 'dash', 'coreutils', 'systemd', 'systemd-journal-remote', 'systemd-report'];

/** Of the machine that its programs take this for. machine-id(5) */
const machineId = '5d3e4a6c0b1f4c7d8a9b0c1d2e3f4a5b';

const inputs = [suite, packages, machineId, process.arch];

/** Where `testingSystemd` has it, or will have it. */
export function testingSystemdPath(): string {
  return cachedPath('testing-systemd', inputs);
}

/**
 * A folder with the programs of the newest systemd that Debian has, and all that they need, to be run by chroot(8). Nothing of it is
 * set up, so no maintainer script runs. Needs root and half a minute, once: the cache keeps the state of the day.
 *
 * @returns its path
 */
export async function testingSystemd(): Promise<string> {
  if (process.getuid?.() !== 0) throw new UserError("Debian testing's systemd can only be unpacked by root");
  return cachedFolder('testing-systemd', inputs, (folder) =>
    step("unpacking Debian testing's systemd", 30, () => unpack(folder)),
  );
}

async function unpack(folder: string): Promise<void> {
  const apt = `${folder}/apt`;
  mkdirSync(`${apt}/lists/partial`, { recursive: true });
  mkdirSync(`${apt}/archives/partial`, { recursive: true });
  writeFileSync(`${apt}/status`, '');
  const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
  writeFileSync(`${apt}/sources.list`, `deb [signed-by=${keyring}] ${debianUri()} ${suite} main\n`);
  // As if nothing were installed here. What the machine's own apt knows and is doing has no part in it.
  const options = {
    'Dir::Etc::SourceList': `${apt}/sources.list`,
    'Dir::Etc::SourceParts': '-',
    'Dir::State': apt,
    'Dir::State::status': `${apt}/status`,
    'Dir::Cache': apt,
    'Debug::NoLocking': '1',
    'Acquire::Languages': 'none',
  };
  const given = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  await logged('apt-get', ['-q', ...given, 'update']);
  await logged('apt-get', ['-q', '-y', ...given, 'install', '--download-only', '--no-install-recommends', ...packages]);
  const archives = readdirSync(`${apt}/archives`).filter((name) => name.endsWith('.deb'));
  // Its links are the folders that others are unpacked into.
  const order = archives.sort((a, b) => Number(b.startsWith('base-files_')) - Number(a.startsWith('base-files_')));
  for (const name of order) await logged('dpkg-deb', ['--extract', `${apt}/archives/${name}`, folder]);
  rmSync(apt, { recursive: true });
  // Its journals are those of a machine.
  writeFileSync(`${folder}/etc/machine-id`, `${machineId}\n`);
}

/** `node scripts/run.js debian/testing-systemd` prints its folder. */
export async function main(): Promise<void> {
  process.stdout.write(`${await testingSystemd()}\n`);
}
