import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { type BpfLog, installUsernsRestrict, type UsernsRestrict } from '@sdrx/bpf';
import type { EventLoop } from '@sdrx/event';
import type { Test } from 'tap';
import { deedsIn, refusedDeeds } from '../support/deeds.js';
import { Folder } from '../support/folder.js';
import { UserNamespace } from '../support/user-namespace.js';

/** Only a machine of its own lets BPF programs of these kinds in, and may be changed. */
export const needsMachine = process.env.SDRX_VM
  ? {}
  : { skip: 'only for a virtual machine of its own, whose kernel enforces userns-restrict' };

/** Where a test installs everything: a place of its own, so that none sees what another left behind. */
export function place(t: Test, part = ''): string {
  const directory = `/sys/fs/bpf/test-${t.name.replaceAll(/\W+/g, '_').slice(0, 60)}${part}`;
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Installs it. @returns it, and the lines of its log */
export function install(t: Test, loop: EventLoop, directory: string, object?: string): [UsernsRestrict, string[]] {
  const lines: string[] = [];
  const log: BpfLog = (level, message) => lines.push(`${level} ${message}`);
  const restrict = installUsernsRestrict({ loop, log, directory, ...(object !== undefined && { object }) });
  t.teardown(() => restrict[Symbol.dispose]());
  return [restrict, lines];
}

/** A namespace whose root is the machine's. */
export function newNamespace(t: Test, ...options: readonly string[]): UserNamespace {
  const namespace = new UserNamespace([], '--map-root-user', ...options);
  t.teardown(() => namespace[Symbol.dispose]());
  return namespace;
}

function spawnIn(namespace: UserNamespace | undefined, script: string, options: readonly string[]) {
  const enter = namespace === undefined ? [] : ['nsenter', `--target=${namespace.child.pid}`, '--user', ...options];
  const [file = '', ...args] = [...enter, 'sh', '-c', script];
  return spawnSync(file, args, { encoding: 'utf8', env: { PATH: process.env.PATH, LC_ALL: 'C' } });
}

/** Runs a shell command in a namespace. @returns what it says on its standard error; empty if it succeeds */
export function sh(namespace: UserNamespace | undefined, script: string, ...options: readonly string[]): string {
  const { stderr, status } = spawnIn(namespace, script, options);
  return status === 0 ? '' : stderr || `exit code ${status}`;
}

/** Which deeds a namespace is refused in a folder, where it has a file `old`. */
export function refused(namespace: UserNamespace | undefined, folder: string, ...options: readonly string[]): string[] {
  return refusedDeeds(spawnIn(namespace, deedsIn(folder), options).stdout);
}

/** A folder with a file `old`. */
export function folderWithFile(): Folder {
  const folder = new Folder();
  writeFileSync(folder.join('old'), '');
  return folder;
}
