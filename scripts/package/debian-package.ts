import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { command } from '../support/command.js';
import { root } from '../support/root.js';
import { UserError } from '../support/user-error.js';
import { debian, type PackageFile, packageFiles, packageName } from './package-files.js';

/** What dpkg runs. */
const maintainerScripts = ['preinst', 'postinst', 'prerm', 'postrm'];

export interface DebianPackageOptions {
  /** Where the package is made. */
  readonly folder: string;
  /** The folder of the daemon's programs. */
  readonly programs?: string;
  /** Of the programs. */
  readonly version: string;
  /** What all files are as old as, in seconds since 1970. */
  readonly epoch: number;
}

/** What Debian calls this machine's processor. */
export function debianArchitecture(): string {
  return process.arch === 'x64' ? 'amd64' : process.arch;
}

/**
 * Makes the Debian package of the daemon, of what was built, for the processor of this machine. The same input makes the same bytes.
 * deb(5), dpkg-deb(1)
 *
 * @returns its path
 */
export function debianPackage({
  folder,
  programs = `${root}/packages/daemon/bin`,
  version,
  epoch,
}: DebianPackageOptions): string {
  const architecture = debianArchitecture();
  const files = packageFiles({ programs, version, epoch });
  const tree = `${folder}/${packageName}_${version}_${architecture}`;
  rmSync(tree, { recursive: true, force: true });
  for (const [path, file] of files) put(tree, path, file);
  const size = [...files.values()].reduce(
    (sum, file) => sum + ('content' in file ? Math.ceil(file.content.length / 1024) : 1),
    0,
  );
  const control = readFileSync(`${debian}/control`, 'utf8')
    .replace('@VERSION@', version)
    .replace('@ARCHITECTURE@', architecture)
    .replace('@INSTALLED_SIZE@', String(size));
  put(tree, 'DEBIAN/control', { content: control });
  put(tree, 'DEBIAN/md5sums', { content: md5sums(files) });
  for (const name of maintainerScripts) {
    put(tree, `DEBIAN/${name}`, { content: readFileSync(`${debian}/${name}`), executable: true });
  }
  const target = `${tree}.deb`;
  const options = ['--root-owner-group', '--threads-max=1', '-Zxz'];
  command('dpkg-deb', [...options, '--build', tree, target], { SOURCE_DATE_EPOCH: String(epoch) });
  rmSync(tree, { recursive: true });
  return target;
}

/** What a package that is made here and now is as old as: SOURCE_DATE_EPOCH, or else the newest commit. */
export function sourceDateEpoch(): number {
  const { SOURCE_DATE_EPOCH: given } = process.env;
  if (given !== undefined) {
    if (!/^\d{1,10}$/.test(given)) throw new UserError(`SOURCE_DATE_EPOCH=${given} is no number of seconds since 1970`);
    return Number(given);
  }
  try {
    return Number(execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: root, encoding: 'ascii', stdio: 'pipe' }));
  } catch {
    throw new UserError('this is no clone, so SOURCE_DATE_EPOCH must say how old its files are, in seconds since 1970');
  }
}

/** With the modes that the package shall have, whatever the umask is. */
function put(tree: string, path: string, file: PackageFile): void {
  makeFolder(tree, dirname(path));
  if ('linkTo' in file) {
    symlinkSync(file.linkTo, `${tree}/${path}`);
    return;
  }
  writeFileSync(`${tree}/${path}`, file.content);
  chmodSync(`${tree}/${path}`, file.executable ? 0o755 : 0o644);
}

function makeFolder(tree: string, path: string): void {
  const folder = path === '.' ? tree : `${tree}/${path}`;
  if (existsSync(folder)) return;
  if (path !== '.') makeFolder(tree, dirname(path));
  mkdirSync(folder);
  chmodSync(folder, 0o755);
}

/** What dpkg --verify compares installed files with. */
function md5sums(files: ReadonlyMap<string, PackageFile>): string {
  return [...files]
    .flatMap(([path, file]) =>
      'content' in file ? [`${createHash('md5').update(file.content).digest('hex')}  ${path}\n`] : [],
    )
    .sort()
    .join('');
}
