import { readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { isSystemError } from '@sdrx/linux';
import { type Mount, mounts } from '../namespace/mountinfo.js';
import type { Registry } from '../registry/registry.js';
import { findEntries } from '../registry/registry-report.js';
import type { Command } from './command.js';
import { runMountProgram } from './mount-program.js';
import { parseOrHelp } from './parse-or-help.js';
import { RUNTIME_DIRECTORY_OPTION, runtimeDirectoryOf, viewRegistry } from './registry-view.js';
import { remark } from './say.js';

/** `nsresourcectl release` */
export const release: Command = {
  name: 'release',
  summary: 'Takes away the bind mounts that hold a namespace, so that it can end',
  options: ['--runtime-directory='],
  operand: 'namespace',
  run(args) {
    const parsed = parseOrHelp(
      {
        program: 'nsresourcectl release',
        summary: `Takes away the bind mounts that hold a user namespace, by its name, its inode, an id lent to it, or the path of one.
A namespace ends when nothing holds it: then its ids are free. Who else has it, processes and descriptors, is named.

Exit status: 0 if it ends by that, 1 if there is none, nothing was mounted, or somebody else holds it.`,
        options: RUNTIME_DIRECTORY_OPTION,
        operands: 'NAME|INODE|UID|PATH',
      },
      args,
      [1, 1],
    );
    if (parsed === undefined) return 0;
    using registry = viewRegistry(runtimeDirectoryOf(parsed.values));
    const inode = requireNamespace(registry, parsed.operands[0] ?? '');
    const held = mounts()
      .filter((mount) => isMountOf(mount, inode))
      .map(({ path }) => path);
    // Who has opened it by such a path is seen by that only while it is mounted.
    const others = holders(inode, held);
    held.forEach(unmount);
    for (const holder of others) remark(`held by ${holder}`);
    if (held.length === 0 && others.length === 0) throw new Error('no bind mount of it is seen from here');
    return others.length === 0 ? 0 : 1;
  },
};

function isMountOf({ type, root }: Mount, inode: number): boolean {
  return type === 'nsfs' && root === `user:[${inode}]`;
}

/** The inode of what is meant. @throws Error where there is none */
function requireNamespace(registry: Registry, which: string): number {
  const entry = findEntries(registry, which).at(-1);
  if (entry !== undefined) return entry.userns;
  const mount = mounts().findLast(({ type, path }) => type === 'nsfs' && path === resolve(which));
  const [, inode] = /^user:\[(\d+)\]$/.exec(mount?.root ?? '') ?? [];
  if (inode === undefined) throw new Error(`no user namespace '${which}' is registered, nor mounted there`);
  return Number(inode);
}

/**
 * Unmounts, whoever has opened it there, and removes the file that is left if there is nothing in it.
 * @throws Error
 */
function unmount(path: string): void {
  const failure = runMountProgram('umount', '--lazy', path);
  if (failure !== undefined) throw new Error(`${path} can't be unmounted: ${failure}`);
  if (statSync(path).size === 0) rmSync(path);
  process.stdout.write(`${path}\n`);
}

/** Who has a namespace, as far as this user may see. @param paths where it is mounted */
function holders(inode: number, paths: readonly string[]): string[] {
  const wanted = [`user:[${inode}]`, ...paths];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => links(pid).some((link) => wanted.includes(link)))
    .map((pid) => `process ${pid} (${textOf(`/proc/${pid}/comm`)})`);
}

/** What a process is in, and what its descriptors stand for. */
function links(pid: string): string[] {
  const folder = `/proc/${pid}/fd`;
  const paths = tolerate(() => readdirSync(folder).map((fd) => `${folder}/${fd}`)) ?? [];
  return [`/proc/${pid}/ns/user`, ...paths].map((path) => tolerate(() => readlinkSync(path)) ?? '');
}

function textOf(path: string): string {
  return tolerate(() => readFileSync(path, 'utf8').trim()) ?? 'gone';
}

/** Undefined for what is gone or not for us to see. */
function tolerate<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ESRCH', 'EACCES', 'EPERM')) return undefined;
    throw error;
  }
}
