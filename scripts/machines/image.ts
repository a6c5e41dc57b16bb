import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { debootstrap } from '../debian/debootstrap.js';
import { installDebianPackages, vmPackages } from '../debian/packages.js';
import { cachedFolder } from '../support/cache.js';
import { logged } from '../support/command.js';
import { root } from '../support/root.js';
import { step } from '../support/step.js';
import { UserError } from '../support/user-error.js';
import { basePackages, type Machine } from './machines.js';

const guest = `${root}/scripts/machines/guest`;
const makeInitrd = readFileSync(`${guest}/make-initrd`, 'utf8');
const units = 'etc/systemd/system';

/** Programs that make units, at the start and at each reload, of what none of our machines has. */
const generators = 'systemd/system-generators';

/** Where each of our own files goes in the machine. */
const ownFiles = {
  [`${units}/sdrx-tests.service`]: readFileSync(`${guest}/sdrx-tests.service`, 'utf8'),
  'etc/systemd/journald.conf.d/sdrx.conf': readFileSync(`${guest}/sdrx-journal.conf`, 'utf8'),
  'etc/fstab': '',
  'etc/hostname': 'machine\n',
  // One that is known: to make it, and to enable all units, takes the first start seconds.
  'etc/machine-id': `${'5d'.repeat(16)}\n`,
};

/** What is of no use in a machine that lives for a minute, and costs seconds of emulation. */
const masked = [
  ...['systemd-firstboot', 'systemd-hwdb-update', 'ldconfig', 'systemd-update-done', 'apt-daily.timer'],
  ...['systemd-networkd', 'systemd-network-generator', 'systemd-networkd-persistent-storage', 'systemd-binfmt'],
  ...['systemd-networkd.socket', 'systemd-networkd-varlink.socket'],
  ...['systemd-journal-catalog-update', 'kmod-static-nodes', 'modprobe@drm', 'modprobe@efi_pstore', 'getty.target'],
];

/** Users who may run things while nobody is logged in. */
const users = { alice: 1000 };

/** The paths of what a machine boots from. */
export interface MachineImage {
  readonly disk: string;
  readonly kernel: string;
  readonly initrd: string;
}

/** The system disk of a machine, with its kernel; made once a user, kept in the cache, and the same for machines alike. */
export async function machineImage({ suite, packages, notStarted = [] }: Machine): Promise<MachineImage> {
  const include = [...basePackages, ...packages];
  const inputs = [suite, include, ownFiles, masked, generators, users, makeInitrd, process.arch, ...notStarted];
  const folder = await cachedFolder(`vm-${suite}`, inputs, async (folder) => {
    if (process.getuid?.() !== 0) throw new UserError('the image of a virtual machine can only be made by root');
    await installDebianPackages(vmPackages);
    await step(`making a disk with Debian ${suite} for virtual machines`, 100, () =>
      make(folder, suite, include, notStarted),
    );
  });
  return { disk: `${folder}/disk.img`, kernel: `${folder}/vmlinuz`, initrd: `${folder}/initrd` };
}

/** @param include packages @param notStarted sockets */
async function make(
  folder: string,
  suite: string,
  include: readonly string[],
  notStarted: readonly string[],
): Promise<void> {
  const tree = `${folder}/tree`;
  mkdirSync(tree);
  await debootstrap(suite, include, tree);
  await prepare(tree, notStarted);
  const [release = '', ...more] = readdirSync(`${tree}/lib/modules`);
  if (more.length > 0) throw new UserError(`not one kernel but ${1 + more.length}`);
  await logged('chroot', [tree, 'sh', '-c', makeInitrd, 'sh', release]);
  copyFileSync(`${tree}/boot/vmlinuz-${release}`, `${folder}/vmlinuz`);
  copyFileSync(`${tree}/boot/initrd`, `${folder}/initrd`);
  await logged('mke2fs', ['-q', '-t', 'ext4', '-d', tree, `${folder}/disk.img`, '3G']);
  rmSync(tree, { recursive: true });
}

/** Makes an unpacked Debian what a machine starts from. */
async function prepare(tree: string, notStarted: readonly string[]): Promise<void> {
  const inTree = (...words: readonly string[]) => logged('chroot', [tree, ...words]);
  await inTree('apt-get', 'clean');
  await inTree('systemctl', 'preset-all', '--preset-mode=enable-only');
  for (const socket of notStarted) rmSync(`${tree}/${units}/sockets.target.wants/${socket}`);
  for (const [user, uid] of Object.entries(users)) {
    await inTree('useradd', '--create-home', '--user-group', '--shell=/bin/bash', `--uid=${uid}`, user);
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
