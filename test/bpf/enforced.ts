import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, rmSync, writeFileSync } from 'node:fs';
import { type BpfLog, type InstalledUsernsRestrict, type InstallOptions, installUsernsRestrict } from '@sdrx/bpf';
import type { EventLoop } from '@sdrx/event';
import type { Test } from 'tap';
import { deedsIn, refusedDeeds } from '../support/deeds.js';
import { Folder } from '../support/folder.js';
import { programPath } from '../support/program-path.js';
import { UserNamespace } from '../support/user-namespace.js';

/** The program that is tested. */
export const ours = programPath('../../../packages/bpf/dist/userns-restrict.bpf.o', import.meta.url);

/** Only a machine of its own lets BPF programs of these kinds in, and may be changed. */
export const needsMachine = process.env.SDRX_VM
  ? {}
  : { skip: 'only for a virtual machine of its own, whose kernel enforces userns-restrict' };

/** Where a test installs everything: a place of its own, so that none sees what another left behind. */
export function place(t: Test, part = ''): string {
  const directory = `/sys/fs/bpf/test-${t.name.replaceAll(/\W+/g, '_').slice(0, 60)}${part}`;
  t.teardown(() => {
    for (const folder of [directory, `${directory}-sdrx`, `${directory}-former`])
      rmSync(folder, { recursive: true, force: true });
  });
  return directory;
}

/** Loads it. @returns it, and the lines of its log */
export function load(
  t: Test,
  loop: EventLoop,
  directory: string,
  options: Partial<InstallOptions> = {},
): [InstalledUsernsRestrict, string[]] {
  const lines: string[] = [];
  const log: BpfLog = (level, message) => lines.push(`${level} ${message}`);
  const restrict = installUsernsRestrict({ loop, log, directory, former: `${directory}-former`, ...options });
  t.teardown(() => restrict[Symbol.dispose]());
  return [restrict, lines];
}

/** Installs it. @returns it, and the lines of its log */
export function install(...[t, loop, directory, options]: Parameters<typeof load>): ReturnType<typeof load> {
  const [restrict, lines] = load(t, loop, directory, options);
  restrict.attach();
  return [restrict, lines];
}

/** The first of the lent ids that tests give away, in blocks, so that no two namespaces have the same. */
const FIRST = 0x0100_0000;
const BLOCK = 65_536;
let given = 0;

/** A user namespace with ids that are lent: `start` outside is its root, of 65,536. */
export class LentNamespace extends UserNamespace {
  readonly start = FIRST + BLOCK * given++;

  /** @param options more of unshare(1), which maps nothing */
  constructor(...options: readonly string[]) {
    super([], ...options);
    for (const kind of ['uid_map', 'gid_map'])
      writeFileSync(`/proc/${this.child.pid}/${kind}`, `0 ${this.start} ${BLOCK}\n`);
  }
}

/** One that ends with the test. */
export function newNamespace(t: Test, ...options: readonly string[]): LentNamespace {
  const namespace = new LentNamespace(...options);
  t.teardown(() => namespace[Symbol.dispose]());
  return namespace;
}

/** One within another, that ends with the test, and has no ids but those of the other's root. */
export function nestedNamespace(t: Test, parent: UserNamespace, ...options: readonly string[]): UserNamespace {
  const namespace = new UserNamespace(
    ['nsenter', `--target=${parent.child.pid}`, '--user', '--mount'],
    '--map-root-user',
    ...options,
  );
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

/** Which deeds a namespace is refused in a folder, where it has a file `old`. @param options more of nsenter(1) */
export function refused(namespace: UserNamespace | undefined, folder: string, ...options: readonly string[]): string[] {
  return refusedWith('', namespace, folder, ...options);
}

/** The same, as a program that runs another one does them. */
export function refusedWith(
  program: string,
  namespace: UserNamespace | undefined,
  folder: string,
  ...options: readonly string[]
): string[] {
  const { stdout, stderr } = spawnIn(namespace, `${program} ${deedsIn(folder)}`, options);
  if (!stdout.includes('end')) throw new Error(`not all was tried: ${stdout}${stderr}`);
  return refusedDeeds(stdout);
}

/** Lets everyone make something in a folder, with a file `old` of the one that has the id. */
export function share(folder: string, owner: number): void {
  chmodSync(folder, 0o777);
  writeFileSync(`${folder}/old`, '');
  chownSync(`${folder}/old`, owner, owner);
}

/** A folder of a file system that is nobody's but the machine's, shared with a namespace. */
export function folderWithFile({ start }: { readonly start: number } = { start: 0 }): Folder {
  const folder = new Folder();
  share(folder.path, start);
  return folder;
}
