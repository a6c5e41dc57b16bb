import { existsSync, mkdirSync, readdirSync, rmdirSync, statSync } from 'node:fs';
import { mounts } from '@sdrx/daemon';
import type { Test } from 'tap';

/** Where cgroups of version 2 are mounted; empty if they are not. */
export const cgroupRoot = mounts().find(({ type, root }) => type === 'cgroup2' && root === '/')?.path ?? '';

/** Options for a test that makes cgroups. */
export const needsCgroups =
  process.getuid?.() !== 0
    ? { skip: 'only root can do this: run the tests as root' }
    : cgroupRoot === ''
      ? { skip: 'no cgroup v2 is mounted' }
      : {};

/** Makes a cgroup, with others in it, all of which end with the test. @returns its path */
export function makeCgroup(t: Test, ...children: readonly string[]): string {
  const path = `${cgroupRoot}/sdrx-test-${process.pid}-${Math.floor(Math.random() * 2 ** 32)}`;
  for (const child of ['', ...children]) mkdirSync(`${path}/${child}`, { recursive: true });
  t.teardown(() => removeTree(path));
  return path;
}

/** A cgroup's id: the inode of its directory. */
export function cgroupId(path: string): bigint {
  return statSync(path, { bigint: true }).ino;
}

function removeTree(path: string): void {
  if (!existsSync(path)) return;
  for (const child of readdirSync(path, { withFileTypes: true })) {
    if (child.isDirectory()) removeTree(`${path}/${child.name}`);
  }
  rmdirSync(path);
}
