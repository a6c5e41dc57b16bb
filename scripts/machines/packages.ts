import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { debianArchitecture, debianPackage, sourceDateEpoch } from '../package/debian-package.js';
import { command } from '../support/command.js';
import { root } from '../support/root.js';

/** What the programs are made to say that they are, for an upgrade. */
const next = '0.1.1';

const programs = `${root}/packages/daemon/bin`;

/**
 * Makes the packages that a machine installs, in debian/: the daemon's, the one of a next release, and one that stands for Debian's
 * Node, which no machine has.
 *
 * @param tree the payload, mounted as /sdrx
 */
export function packagesOf(tree: string): void {
  const folder = `${tree}/debian`;
  mkdirSync(folder);
  const { version }: { version: string } = JSON.parse(readFileSync(`${root}/packages/daemon/package.json`, 'utf8'));
  const epoch = sourceDateEpoch();
  debianPackage({ folder, version, epoch });
  const upgraded = `${folder}/programs`;
  cpSync(programs, upgraded, { recursive: true });
  for (const name of readdirSync(upgraded)) {
    const path = `${upgraded}/${name}`;
    if (name.endsWith('.js')) {
      const text = readFileSync(path, 'utf8');
      // The bundler may have given the constant a number.
      writeFileSync(path, text.replace(new RegExp(`(VERSION\\d*)="${version}"`), `$1="${next}"`));
    } else if (name.includes('.js.')) {
      // What V8 made of the code that it was.
      rmSync(path);
    }
  }
  debianPackage({ folder, programs: upgraded, version: next, epoch });
  rmSync(upgraded, { recursive: true });
  nodePackage(folder);
}

function nodePackage(folder: string): void {
  const tree = `${folder}/nodejs`;
  mkdirSync(`${tree}/usr/bin`, { recursive: true });
  mkdirSync(`${tree}/DEBIAN`);
  symlinkSync('/sdrx/bin/node', `${tree}/usr/bin/node`);
  const fields = {
    Package: 'nodejs',
    Version: process.versions.node,
    Architecture: debianArchitecture(),
    Maintainer: 'the sdrx authors <sdrx@users.noreply.github.com>',
    Description: 'the Node that the tests run on',
  };
  const control = Object.entries(fields).map(([name, value]) => `${name}: ${value}\n`);
  writeFileSync(`${tree}/DEBIAN/control`, control.join(''));
  command('dpkg-deb', ['--root-owner-group', '--build', tree, `${tree}.deb`]);
  rmSync(tree, { recursive: true });
}
