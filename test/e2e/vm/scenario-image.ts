import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { makeCertificate } from './certificate.js';
import { attempt, run } from './machine.js';

/** Where Debian's package systemd-tests has what it brings. */
export const TESTS = '/usr/lib/systemd/tests';

/** Who does what needs no privileges, by the id that the scenarios know. */
const TESTUSER = 4711;

/** Where systemd's own harness puts the tree of the containers. */
const TEMPLATE = '/usr/share/TEST-13-NSPAWN-container-template';

/** What the scenarios sign their images with. Images of users are trusted by the certificate's copy in verity.d. */
const KEY = '/usr/share/mkosi.key';
const CERTIFICATE = '/usr/share/mkosi.crt';
const TRUSTED = '/usr/lib/verity.d/mkosi.crt';

const LIBRARIES = 'usr/lib/x86_64-linux-gnu';

/** What the scenarios call within containers and images, in GNU's version: they compare messages. */
const programs = [
  ...['bash', 'cat', 'echo', 'env', 'grep', 'id', 'ls', 'mkdir', 'mount', 'mountpoint', 'sleep', 'stat', 'test'],
  ...['touch', 'true'],
];

/** Drivers that the machine, unlike a usual one, has not loaded at its start, or whose devices it has no nodes of. */
const modules = ['dm_verity', 'fuse', 'loop', 'overlay', 'squashfs', 'tun', 'veth'];

/**
 * The scenarios have systemd's programs log all that they do. To store it, and to write it to a serial line, takes an emulated
 * machine so long that workers give no sign of life for seconds, and are replaced.
 */
const JOURNAL = '/run/systemd/journald.conf.d/zz-scenarios.conf';
const JOURNAL_SETTINGS = '[Journal]\nMaxLevelStore=notice\nMaxLevelConsole=notice\n';

/** Makes of the machine what the scenarios expect of the image in which systemd's own harness runs them. */
export function makeScenarioImage(): void {
  mkdirSync(dirname(JOURNAL), { recursive: true });
  writeFileSync(JOURNAL, JOURNAL_SETTINGS);
  run('systemctl', 'restart', 'systemd-journald.service');
  run('modprobe', '--all', ...modules);
  addUser();
  keepDescriptors();
  makeKey();
  makeTemplate();
  for (const name of ['minimal_0', 'minimal_1']) makeMinimalImage(name);
}

function addUser(): void {
  run('useradd', '--create-home', '--user-group', '--shell=/bin/bash', `--uid=${TESTUSER}`, 'testuser');
}

/** Has a user's manager keep descriptors of its services, and a container's service those of the container. */
function keepDescriptors(): void {
  for (const unit of ['user@.service.d', 'systemd-nspawn@.service.d']) {
    const folder = `/etc/systemd/system/${unit}`;
    mkdirSync(folder, { recursive: true });
    copyFileSync(`${TESTS}/mkosi/mkosi.extra/usr/lib/systemd/system/${unit}/fdstore.conf`, `${folder}/fdstore.conf`);
  }
  run('systemctl', 'daemon-reload');
}

function makeKey(): void {
  makeCertificate(KEY, CERTIFICATE);
  mkdirSync(dirname(TRUSTED), { recursive: true });
  copyFileSync(CERTIFICATE, TRUSTED);
}

/** A system with a shell and little more. What systemd's package adds to such a one itself it adds to this, too. */
function makeTemplate(): void {
  const tree = TEMPLATE;
  const folders = ['dev', 'etc', 'home', 'mnt', 'opt', 'proc', 'root', 'run', 'sys', 'tmp', 'usr/bin', 'usr/sbin'];
  for (const folder of [...folders, 'usr/lib64', LIBRARIES, 'var/lib', 'var/tmp']) {
    mkdirSync(`${tree}/${folder}`, { recursive: true });
  }
  for (const name of ['bin', 'lib', 'lib64', 'sbin']) symlinkSync(`usr/${name}`, `${tree}/${name}`);
  for (const name of programs) cpSync(`/usr/bin/${name}`, `${tree}/usr/bin/${name}`, { dereference: true });
  symlinkSync('bash', `${tree}/usr/bin/sh`);
  copyFileSync('/usr/lib/os-release', `${tree}/usr/lib/os-release`);
  for (const name of ['machine-id', 'resolv.conf']) writeFileSync(`${tree}/etc/${name}`, '');
  finish('minimal-base', tree);
  const binaries = run('find', `${tree}/usr/bin`, '-type', 'f').trim().split('\n');
  // Those of Debian's own programs, and of one of systemd's.
  for (const [path] of run('ldd', ...binaries).matchAll(/\/lib\S+(?= \(0x)/g)) {
    if (!existsSync(`${tree}${path}`)) copyFileSync(path, `${tree}${path}`);
  }
}

/** Has the package's own script complete the tree of one of its images. */
function finish(image: string, tree: string): void {
  run('env', `BUILDROOT=${tree}`, 'bash', `${TESTS}/mkosi/mkosi.images/${image}/mkosi.postinst`);
}

/** An image for portable services, with its hashes and their signature beside it. */
function makeMinimalImage(name: string): void {
  const own = name.replace('_', '-');
  const tree = `/var/tmp/${name}`;
  run('cp', '--archive', TEMPLATE, tree);
  run('cp', '--recursive', `${TESTS}/mkosi/mkosi.images/${own}/mkosi.extra/.`, tree);
  finish(own, tree);
  const image = `/usr/share/${name}`;
  run('mksquashfs', tree, `${image}.raw`, '-noappend', '-quiet', '-no-progress');
  rmSync(tree, { recursive: true });
  run('veritysetup', 'format', `${image}.raw`, `${image}.verity`, `--root-hash-file=${image}.roothash`);
  // They are for users, too.
  for (const kind of ['roothash', 'verity']) chmodSync(`${image}.${kind}`, 0o644);
  const signed = ['-in', `${image}.roothash`, '-outform', 'der', '-out', `${image}.roothash.p7s`];
  run('openssl', 'smime', '-sign', '-nocerts', '-noattr', '-binary', '-signer', CERTIFICATE, '-inkey', KEY, ...signed);
}

/** Has the user's manager run, as a scenario's own unit would. */
export function startUserManager(): void {
  run('loginctl', 'enable-linger', 'testuser');
  run('systemctl', 'start', `user@${TESTUSER}.service`);
}

/** Takes back what other tests of the machine could be in the way of. */
export function removeScenarioImage(): void {
  attempt('loginctl', 'disable-linger', 'testuser');
  attempt('systemctl', 'stop', `user@${TESTUSER}.service`);
  attempt('userdel', '--remove', 'testuser');
  for (const path of [TEMPLATE, KEY, CERTIFICATE, TRUSTED, JOURNAL, '/testok'])
    rmSync(path, { recursive: true, force: true });
  run('systemctl', 'restart', 'systemd-journald.service');
}
