import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { cachedFolder } from '../cache.js';
import { command } from '../command.js';
import { debootstrap } from '../debian.js';
import { installDebianPackages, vmPackages } from '../debian-packages.js';
import { say, UserError } from '../main.js';
import { root } from '../root.js';
import { basePackages } from './machines.js';

const guest = `${root}/.ci/vm/guest`;
const units = 'etc/systemd/system';

/** Programs that make units, at the start and at each reload, of what none of our machines has. */
const generators = 'systemd/system-generators';

/** Where each of our own files goes in the machine. */
const ownFiles = {
  [`${units}/sdrx-tests.service`]: readFileSync(`${guest}/sdrx-tests.service`, 'utf8'),
  'etc/systemd/journald.conf.d/sdrx.conf': readFileSync(`${guest}/sdrx-journal.conf`, 'utf8'),
  'etc/fstab': '',
  'etc/hostname': 'machine\n',
  'etc/machine-id': 'uninitialized\n',
};

/** What is of no use in a machine that lives for a minute, and costs seconds of emulation. */
const masked = [
  ...['systemd-firstboot', 'systemd-hwdb-update', 'ldconfig', 'systemd-update-done', 'apt-daily.timer'],
  ...['systemd-networkd', 'systemd-network-generator', 'systemd-networkd-persistent-storage', 'systemd-binfmt'],
  ...['systemd-journal-catalog-update', 'kmod-static-nodes', 'modprobe@drm', 'modprobe@efi_pstore', 'getty.target'],
];

/** Users who may run things while nobody is logged in. */
const users = { alice: 1000 };

/**
 * The system disk of a machine, with its kernel; made once a user, kept in the cache, and the same for machines alike.
 *
 * @param {import('./machines.js').Machine} machine
 * @returns {{ disk: string, kernel: string, initrd: string }} paths
 */
export function machineImage({ suite, packages }) {
  const include = [...basePackages, ...packages];
  const inputs = [suite, include, ownFiles, masked, generators, users, process.arch];
  const folder = cachedFolder(`vm-${suite}`, inputs, (folder) => {
    if (process.getuid?.() !== 0) throw new UserError('the image of a virtual machine can only be made by root');
    installDebianPackages(vmPackages);
    const tree = `${folder}/tree`;
    mkdirSync(tree);
    say(`unpacking Debian ${suite} into ${tree}`);
    debootstrap(suite, include, tree);
    prepare(tree);
    for (const file of ['vmlinuz', 'initrd.img']) copyFileSync(bootFile(tree, file), `${folder}/${file}`);
    command('mke2fs', ['-q', '-t', 'ext4', '-d', tree, `${folder}/disk.img`, '3G']);
    rmSync(tree, { recursive: true });
  });
  return { disk: `${folder}/disk.img`, kernel: `${folder}/vmlinuz`, initrd: `${folder}/initrd.img` };
}

/** @param {string} tree @param {string} prefix */
function bootFile(tree, prefix) {
  const [file, ...more] = readdirSync(`${tree}/boot`).filter((name) => name.startsWith(`${prefix}-`));
  if (file === undefined || more.length > 0) throw new UserError(`not one ${prefix} but ${1 + more.length}`);
  return `${tree}/boot/${file}`;
}

/** @param {string} tree */
function prepare(tree) {
  const inTree = (/** @type {string[]} */ ...words) => command('chroot', [tree, ...words]);
  inTree('apt-get', 'clean');
  for (const [user, uid] of Object.entries(users)) {
    inTree('useradd', '--create-home', '--user-group', '--shell=/bin/bash', `--uid=${uid}`, user);
    mkdirSync(`${tree}/var/lib/systemd/linger`, { recursive: true });
    writeFileSync(`${tree}/var/lib/systemd/linger/${user}`, '');
  }
  mkdirSync(`${tree}/sdrx`);
  mkdirSync(`${tree}/etc/systemd/journald.conf.d`, { recursive: true });
  for (const [path, text] of Object.entries(ownFiles)) writeFileSync(`${tree}/${path}`, text);
  for (const name of masked) {
    const unit = name.includes('.') ? name : `${name}.service`;
    symlinkSync('/dev/null', `${tree}/${units}/${unit}`);
  }
  mkdirSync(`${tree}/etc/${generators}`, { recursive: true });
  for (const name of readdirSync(`${tree}/usr/lib/${generators}`))
    symlinkSync('/dev/null', `${tree}/etc/${generators}/${name}`);
  mkdirSync(`${tree}/${units}/default.target.wants`, { recursive: true });
  symlinkSync('../sdrx-tests.service', `${tree}/${units}/default.target.wants/sdrx-tests.service`);
}
