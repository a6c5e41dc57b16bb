import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { type BpfLog, installUsernsRestrict, type UsernsRestrict } from '@sdrx/bpf';
import type { EventLoop } from '@sdrx/event';
import type { Test } from 'tap';
import { UserNamespace } from '../support/user-namespace.js';

/** Only a machine of its own lets BPF programs of these kinds in, and may be changed. */
export const needsMachine = process.env.SDRX_VM
  ? {}
  : { skip: 'only for a virtual machine of its own, whose kernel enforces userns-restrict' };

/** What creates an inode or changes an owner, in a folder with a file `old`. */
export const DEEDS = {
  mkdir: 'mkdir new',
  file: ': > new',
  fifo: 'mkfifo new',
  symlink: 'ln -s old new',
  link: 'ln old new',
  chown: 'chown 0:0 old',
};

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

/** Runs a shell command in a namespace. @returns what it says on its standard error; empty if it succeeds */
export function sh(namespace: UserNamespace | undefined, script: string, ...options: readonly string[]): string {
  const enter = namespace === undefined ? [] : ['nsenter', `--target=${namespace.child.pid}`, '--user', ...options];
  const [file = '', ...args] = [...enter, 'sh', '-c', script];
  const { stderr, status } = spawnSync(file, args, { encoding: 'utf8', env: { PATH: process.env.PATH, LC_ALL: 'C' } });
  return status === 0 ? '' : stderr || `exit code ${status}`;
}

/** Which of the deeds fail in `folder`, each with its reason. */
export function refused(namespace: UserNamespace | undefined, folder: string): string[] {
  return Object.entries(DEEDS).flatMap(([deed, script]) => {
    sh(undefined, `cd ${folder} && rm -rf new && : > old`);
    const said = sh(namespace, `cd ${folder} && ${script}`);
    if (said === '') return [];
    return [/not permitted/.test(said) ? deed : `${deed}: ${said}`];
  });
}

/** All of them. */
export const ALL = Object.keys(DEEDS);
