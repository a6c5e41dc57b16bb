import { readdirSync, writeFileSync } from 'node:fs';
import type { Test } from 'tap';
import { Folder } from './folder.js';
import { needsRoot } from './privileges.js';
import { type ProgramResult, runProgram } from './run-program.js';

/** A newer Debian's userland, with the real clients and the real daemon; `npm test` makes one. */
const tree = process.env.SDRX_DEBIAN_TREE ?? '';

/** Options for a test that runs programs of that Debian. */
export const needsDebianTree =
  tree === '' ? { skip: 'SDRX_DEBIAN_TREE names no Debian tree: npm test makes one as root' } : needsRoot;

/** The release of the tree's systemd, such as 257; 0 without a tree. */
export function treeRelease(): number {
  if (tree === '') return 0;
  const files = readdirSync(`${tree}/usr/lib/systemd`).concat(
    ...readdirSync(`${tree}/usr/lib`)
      .filter((name) => name.endsWith('-linux-gnu'))
      .map((name) => readdirSync(`${tree}/usr/lib/${name}/systemd`)),
  );
  return Math.max(0, ...files.map((name) => Number(/^libsystemd-shared-(\d+)/.exec(name)?.[1] ?? 0)));
}

/**
 * In a mount namespace of its own, which takes all this with it: the tree, read-only, with a runtime directory of ours as
 * its /run/systemd. By exec throughout, so that the process stays the same.
 */
const SCRIPT = `
tree=$0 runtime=$1; shift
mount --bind "$tree" "$tree" && cd "$tree" && mount -o remount,bind,ro "$tree" &&
  mount -t tmpfs tmpfs run && mkdir run/systemd && mount --bind "$runtime" run/systemd &&
  mount --rbind /proc proc && mount --rbind /sys sys && mount --rbind /dev dev &&
  exec chroot "$tree" "$@"`;

/** The command that runs another one in the tree. */
export function inTree(runtimeDirectory: string, ...command: readonly string[]): string[] {
  return inFolder(tree, runtimeDirectory, ...command);
}

/** The same for any folder that has what a system has. */
export function inFolder(tree: string, runtimeDirectory: string, ...command: readonly string[]): string[] {
  return ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', SCRIPT, tree, runtimeDirectory, ...command];
}

/** Runs a program of the tree to its end; standard error is part of its output. */
export function runInTree(runtimeDirectory: string, ...command: readonly string[]): ProgramResult {
  const [file = '', ...args] = ['sh', '-c', 'exec "$@" 2>&1', 'sh', ...inTree(runtimeDirectory, ...command)];
  const { SYSTEMD_LOG_LEVEL: _, ...env } = process.env;
  return runProgram(file, args, { env: { ...env, PATH: `${env.PATH}:/usr/sbin:/sbin`, SYSTEMD_PAGER: 'cat' } });
}

/**
 * A program file that runs a program of the tree, as for `--worker=`.
 * @param env set in its environment, as NAME=VALUE
 */
export function treeProgram(t: Test, runtimeDirectory: string, program: string, env: readonly string[] = []): string {
  const folder = new Folder();
  t.teardown(() => folder[Symbol.dispose]());
  const words = ['env', ...env, ...inTree(runtimeDirectory, program)].map(
    (word) => `'${word.replaceAll("'", "'\\''")}'`,
  );
  writeFileSync(folder.join('program'), `#!/bin/sh\nexec ${words.join(' ')}\n`, { mode: 0o755 });
  return folder.join('program');
}
