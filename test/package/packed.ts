import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Folder } from '../support/folder.js';
import { programPath } from '../support/program-path.js';
import { run } from './run.js';

/** The repository's top folder. */
export const root = programPath('../../..', import.meta.url);

const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const { version } = JSON.parse(readFileSync(join(root, 'packages', 'event', 'package.json'), 'utf8'));

/** Whose tarballs have the BPF program, and are not made without it. */
const WITH_OBJECT = ['bpf', 'daemon'];

/** Whether the BPF program can be compiled here. */
export const hasClang = existsSync('/usr/bin/clang');

/** All packages that can be packed here. */
export const packages = readdirSync(join(root, 'packages')).filter((name) => hasClang || !WITH_OBJECT.includes(name));

/** What the repository's pnpm is called with by npx. */
export const pnpm = ['--yes', packageManager] as const;

/** Packs all packages, as for the registry. @returns where each is */
export function packAll(folder: Folder): Map<string, string> {
  for (const name of packages) {
    run(join(root, 'packages', name), 'npx', ...pnpm, 'pack', '--pack-destination', folder.path);
  }
  return new Map(packages.map((name) => [name, folder.join(`sdrx-${name}-${version}.tgz`)]));
}
