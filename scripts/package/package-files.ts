import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { root } from '../support/root.js';
import { UserError } from '../support/user-error.js';
import { debianChangelog } from './debian-changelog.js';
import { debianCopyright } from './debian-copyright.js';
import { koffiFiles } from './koffi-files.js';
import { manPage, manPageTitle } from './man-page.js';

/** What the package is called. */
export const packageName = 'sdrx-nsresourced';

/** What is of Debian alone. */
export const debian = `${root}/packages/daemon/debian`;

const library = `usr/lib/${packageName}`;
const documentation = `usr/share/doc/${packageName}`;
const units = 'usr/lib/systemd/system';
const networks = 'usr/lib/systemd/network';

/** Where programs are called from. */
const places: Readonly<Record<string, string>> = { nsresourced: 'usr/sbin', nsresourcectl: 'usr/bin' };

/** What is in the folder of the programs and not in the package: licences stand elsewhere, what V8 made is for another release. */
const unwanted = /^THIRD-PARTY-LICENSES$|\.js\.v\d/;

/** Where shells look for what completes a program's arguments. */
const completionPlaces: Readonly<Record<string, (program: string) => string>> = {
  bash: (program) => `usr/share/bash-completion/completions/${program}`,
  zsh: (program) => `usr/share/zsh/vendor-completions/_${program}`,
  fish: (program) => `usr/share/fish/vendor_completions.d/${program}.fish`,
};

/** A file, a program or a symbolic link of the package. */
export type PackageFile =
  | { readonly content: string | Buffer; readonly executable?: boolean }
  | { readonly linkTo: string };

/** By its path below the top folder. */
type Entry = readonly [path: string, file: PackageFile];

export interface PackageFilesOptions {
  /** The folder of the daemon's programs. */
  readonly programs: string;
  /** Of the programs. */
  readonly version: string;
  /** What all files are as old as, in seconds since 1970. */
  readonly epoch: number;
}

/** @returns what is in the Debian package, by its path below the top folder */
export function packageFiles(options: PackageFilesOptions): Map<string, PackageFile> {
  return new Map<string, PackageFile>([
    ...programFiles(options.programs),
    ...koffiFiles().map(([path, content]) => [`${library}/node_modules/${path}`, { content }] as const),
    ...unitFiles(),
    ...networkFiles(),
    policy(),
    ...manPages(options),
    ...ownFiles(options),
  ]);
}

function programFiles(folder: string): Entry[] {
  const object = 'userns-restrict.bpf.o';
  if (!existsSync(`${folder}/${object}`)) {
    throw new UserError(
      `${folder}/${object} is missing, without which the daemon gives no ids: install clang and build`,
    );
  }
  return readdirSync(folder)
    .filter((name) => !unwanted.test(name))
    .flatMap((name): Entry[] => {
      const content = readFileSync(`${folder}/${name}`);
      const path = `${library}/${name}`;
      if (name.includes('.')) return [[path, { content }]];
      const program: Entry = [path, { content: withDebiansNode(content.toString()), executable: true }];
      const place = places[name];
      return place === undefined
        ? [program]
        : [program, [`${place}/${name}`, { linkTo: `../lib/${packageName}/${name}` }]];
    });
}

/** Debian's own Node, whatever else is on somebody's PATH. */
function withDebiansNode(program: string): string {
  return program
    .replace(/^#!\/usr\/bin\/env node$/m, '#!/usr/bin/node')
    .replaceAll('exec node "$0"', 'exec /usr/bin/node "$0"');
}

/**
 * The units under the package's own name, since Debian's systemd-container has files with those of systemd's. Aliases make them take
 * that one's place, and are gone when they are disabled. systemd.unit(5)
 */
function unitFiles(): Entry[] {
  return ['service', 'socket'].map((kind) => {
    const alias = `systemd-nsresourced.${kind}`;
    const content = readFileSync(`${root}/packages/daemon/systemd/${alias}`, 'utf8')
      .replace(/^# (.*) It has the name .*$/m, "# $1 By its alias it takes the place of systemd's own.")
      .replaceAll('systemd-nsresourced.', `${packageName}.`)
      .replace('ExecStart=nsresourced', 'ExecStart=/usr/sbin/nsresourced')
      .replace('ExecReload=nsresourcectl', 'ExecReload=/usr/bin/nsresourcectl')
      .replace(/^Description=.*$/m, '$&\nDocumentation=man:nsresourced(8)')
      .replace('[Install]\n', `[Install]\nAlias=${alias}\n`);
    return [`${units}/${packageName}.${kind}`, { content }];
  });
}

/** What systemd-networkd and udev are told of the interfaces that the daemon makes. systemd.network(5), systemd.link(5) */
function networkFiles(): Entry[] {
  const folder = `${root}/packages/daemon/network`;
  return readdirSync(folder).map((name) => [`${networks}/${name}`, { content: readFileSync(`${folder}/${name}`) }]);
}

/** What polkit is to know, under the package's own name: systemd's daemon has a file of its own with the same actions. polkit(8) */
function policy(): Entry {
  const name = `${packageName}.policy`;
  return [`usr/share/polkit-1/actions/${name}`, { content: readFileSync(`${root}/packages/daemon/polkit/${name}`) }];
}

/** Those pages of docs/ that are of the manual. */
function manPages({ version, epoch }: PackageFilesOptions): Entry[] {
  const edition = { date: new Date(epoch * 1000).toISOString().slice(0, 10), source: `sdrx ${version}` };
  return readdirSync(`${root}/docs`)
    .filter((file) => file.endsWith('.md'))
    .flatMap((file) => {
      const markdown = readFileSync(`${root}/docs/${file}`, 'utf8');
      const title = manPageTitle(markdown);
      if (title === undefined) return [];
      const path = `usr/share/man/man${title.section}/${title.name}.${title.section}.gz`;
      return [[path, { content: compressed(manPage(markdown, edition)) }]];
    });
}

function ownFiles({ programs, version, epoch }: PackageFilesOptions): Entry[] {
  const read = (path: string) => readFileSync(`${debian}/${path}`, 'utf8');
  const examples = readdirSync(`${debian}/examples`, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry): Entry => {
      const path = `${entry.parentPath}/${entry.name}`.slice(debian.length + 1);
      return [`${documentation}/${path}`, { content: read(path), executable: true }];
    });
  return [
    ...Object.entries(completionPlaces).flatMap(([shell, place]): Entry[] => {
      // Of the programs as they were built, as it needs what it stands beside.
      const words = [`${root}/packages/daemon/bin/nsresourcectl`, 'completion', shell];
      return [
        [place('nsresourced'), { content: read(`completions/nsresourced.${shell}`) }],
        [place('nsresourcectl'), { content: execFileSync(process.execPath, words) }],
      ];
    }),
    ...examples,
    [`${documentation}/copyright`, { content: debianCopyright(read('copyright'), programs) }],
    [`${documentation}/changelog.gz`, { content: compressed(debianChangelog(packageName, version, epoch)) }],
    [`usr/share/lintian/overrides/${packageName}`, { content: read('lintian-overrides') }],
  ];
}

/** As gzip -9n does, without a time. */
function compressed(text: string): Buffer {
  return gzipSync(text, { level: 9 });
}
