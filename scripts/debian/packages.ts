import { accessSync } from 'node:fs';
import { say } from '../support/say.js';
import { step } from '../support/step.js';
import { UserError } from '../support/user-error.js';
import { aptGet } from './apt.js';

export interface DebianPackage {
  readonly name: string;
  /** What shows that it is installed: a program's name, or an absolute path. */
  readonly provides: string;
  /** Why the project needs it. */
  readonly why: string;
  /** Whether the rest works without it. */
  readonly optional?: boolean;
}

/** Where Debian has a shared library. */
function libraryPath(name: string): string {
  return `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/${name}`;
}

/** To run the daemon. */
export const runPackages: readonly DebianPackage[] = [
  { name: 'clang', provides: 'clang', why: 'compiles the BPF programs', optional: true },
  { name: 'libbpf1', provides: libraryPath('libbpf.so.1'), why: 'loads them', optional: true },
  { name: 'util-linux', provides: 'nsenter', why: 'joins a user namespace in a process without threads' },
  { name: 'util-linux', provides: 'unshare', why: 'makes the user namespace of the example and the tests' },
];

/** To run the tests, beside `runPackages`. */
export const testPackages: readonly DebianPackage[] = [
  { name: 'debootstrap', provides: 'debootstrap', why: "unpacks a newer Debian, whose systemd has the API's clients" },
  { name: 'util-linux', provides: 'setpriv', why: 'runs a client as another user' },
  { name: 'gcc', provides: 'gcc', why: 'compiles what our loop is compared with' },
  { name: 'binutils', provides: 'readelf', why: 'shows what a C library has' },
  {
    name: 'musl',
    provides: `/lib/ld-musl-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`,
    why: 'is another C library, which must have what we need',
  },
  { name: 'strace', provides: 'strace', why: 'lets system calls of the daemon fail' },
  { name: 'libc6-dev', provides: '/usr/include/stdio.h', why: 'declares the C library to it' },
  {
    name: 'libsystemd-dev',
    provides: '/usr/include/systemd/sd-event.h',
    why: "declares libsystemd's sd-event, which our loop is compared with",
  },
  { name: 'libnbd-bin', provides: 'nbdcopy', why: 'is a client of the example that exports a disk' },
  { name: 'python3-libnbd', provides: 'nbdsh', why: 'activates that example, and asks it what others do not' },
  { name: 'qemu-utils', provides: 'qemu-img', why: 'is a client of it, too' },
  { name: 'dbus-daemon', provides: 'dbus-daemon', why: 'is the bus over which polkit is asked' },
  {
    name: 'python3-dbus',
    provides: '/usr/lib/python3/dist-packages/dbus',
    why: 'answers in the place of polkit, by a D-Bus that is not ours',
  },
  { name: 'python3-gi', provides: '/usr/lib/python3/dist-packages/gi', why: 'is its event loop' },
  { name: 'polkitd', provides: 'pkaction', why: 'is the real one', optional: true },
  { name: 'zsh', provides: 'zsh', why: 'completes what nsresourcectl and nsresourced take', optional: true },
  { name: 'fish', provides: 'fish', why: 'does so, too', optional: true },
];

/** To test the Debian package. */
export const packagePackages: readonly DebianPackage[] = [
  { name: 'binutils', provides: 'readelf', why: 'shows what a native file needs' },
  { name: 'lintian', provides: 'lintian', why: 'checks what Debian wants of packages', optional: true },
  { name: 'man-db', provides: 'man', why: 'shows the manual', optional: true },
  { name: 'mandoc', provides: 'mandoc', why: 'checks the manual', optional: true },
];

/** To make the image of a virtual machine, beside `runPackages`. */
export const vmPackages: readonly DebianPackage[] = [
  { name: 'debootstrap', provides: 'debootstrap', why: 'unpacks the Debian that the machine runs' },
  { name: 'e2fsprogs', provides: 'mke2fs', why: 'makes the disks of the machine' },
];

/** To compile what the tests in virtual machines run. */
export const vmProgramPackages: readonly DebianPackage[] = [
  { name: 'gcc', provides: 'gcc', why: 'compiles programs that tests run in virtual machines' },
  { name: 'libc6-dev', provides: '/usr/include/stdio.h', why: 'declares the C library to them' },
];

/** To run the benchmarks, beside `runPackages`. */
export const benchPackages: readonly DebianPackage[] = [
  {
    name: 'debootstrap',
    provides: 'debootstrap',
    why: 'unpacks a newer Debian, whose systemd is what we compare with',
  },
  { name: 'gcc', provides: 'gcc', why: 'compiles the programs that produce load' },
  { name: 'uidmap', provides: 'newuidmap', why: 'gives unshare ids, which nsresourcectl run is compared with' },
  { name: 'hyperfine', provides: 'hyperfine', why: 'compares start-up times' },
  { name: 'libc6-dev', provides: '/usr/include/stdio.h', why: 'declares the C library to these programs' },
  {
    name: 'libsystemd-dev',
    provides: '/usr/include/systemd/sd-event.h',
    why: 'declares sd-event, which we compare with',
  },
  { name: 'time', provides: '/usr/bin/time', why: 'tells the peak memory of processes' },
];

/** Administrators' programs are not on every user's PATH. */
const programFolders = [...(process.env.PATH ?? '').split(':'), '/usr/local/sbin', '/usr/sbin', '/sbin'];

/** @param provides a program's name, or an absolute path */
export function isInstalled(provides: string): boolean {
  const places = provides.startsWith('/') ? [provides] : programFolders.map((folder) => `${folder}/${provides}`);
  return places.some((place) => {
    try {
      accessSync(place);
      return true;
    } catch {
      return false;
    }
  });
}

/**
 * Installs what is missing of `packages` if we are root on a Debian, else throws an error that names it. What is optional is
 * only named then.
 */
export async function installDebianPackages(packages: readonly DebianPackage[]): Promise<void> {
  const missing = packages.filter(({ provides }) => !isInstalled(provides));
  if (missing.length === 0) return;
  const names = [...new Set(missing.map(({ name }) => name))];
  const reasons = missing.map(({ name, provides, why }) => `  ${name} (${provides}): ${why}`).join('\n');
  if (process.getuid?.() !== 0 || !isInstalled('apt-get')) {
    const complaint = `Debian packages are missing:\n${reasons}\nAs root: apt-get install --no-install-recommends ${names.join(' ')}`;
    if (missing.some(({ optional = false }) => !optional)) throw new UserError(complaint);
    say(complaint);
    return;
  }
  await step(`installing ${names.join(' ')}`, 5 * names.length, () =>
    aptGet('install', '--no-install-recommends', ...names),
  );
}
