import { chownSync, constants, mkdirSync, readFileSync, rmdirSync, statSync } from 'node:fs';
import { O_PATH } from '@sdrx/linux';
import { UserNamespace } from '../../support/user-namespace.js';
import type { PassedFile } from './caller.js';
import { ALICE } from './machine.js';

const CGROUPS = '/sys/fs/cgroup/comparison';

/** How each kind of namespace is made: whose it is, and more options of unshare(1). */
const kinds: Readonly<Record<string, readonly [owner: number, ...options: string[]]>> = {
  fresh: [0],
  alices: [ALICE],
  mapped: [ALICE, '--map-root-user'],
  'mapped by root': [0, '--map-root-user'],
  'mapped to itself': [ALICE, '--map-current-user'],
  network: [ALICE, '--map-root-user', '--net'],
};

const FLAGS: Readonly<Record<string, number>> = {
  O_PATH,
  O_NONBLOCK: constants.O_NONBLOCK,
};

/**
 * What calls are about, made when first named: user namespaces (`fresh`, `fresh 2`, `alices web`), their other namespaces
 * (`network/net`), control groups (`cgroup a`, `cgroup of alice`), and files by their path. Flags of open(2) may follow.
 */
export class Things implements Disposable {
  readonly #namespaces = new Map<string, UserNamespace>();
  readonly #cgroups = new Map<string, string>();
  readonly #numbers = new Map<number, string>();
  #known: Record<string, object> = {};

  constructor() {
    mkdirSync(CGROUPS, { recursive: true });
  }

  file(name: string): PassedFile {
    const [, thing = '', flag] = /^(.*?)(?: (O_\w+))?$/.exec(name) ?? [];
    return { path: this.#path(thing), flags: flag === undefined ? 0 : (FLAGS[flag] ?? 0) };
  }

  #path(name: string): string {
    if (name.startsWith('/')) return name;
    if (name.startsWith('cgroup ')) return this.#cgroup(name);
    const [, thing = '', kind = 'user'] = /^(.*?)(?:\/(net))?$/.exec(name) ?? [];
    return `/proc/${this.#namespace(thing).child.pid}/ns/${kind}`;
  }

  #namespace(name: string): UserNamespace {
    const known = this.#namespaces.get(name);
    if (known !== undefined) return known;
    const [kind = ''] = Object.keys(kinds)
      .filter((kind) => name === kind || name.startsWith(`${kind} `))
      .sort((a, b) => b.length - a.length);
    const [owner, ...options] = kinds[kind] ?? [0];
    const namespace = new UserNamespace(owner, ...options);
    this.#namespaces.set(name, namespace);
    this.#numbers.set(statSync(`/proc/${namespace.child.pid}/ns/user`).ino, `<${name}>`);
    return namespace;
  }

  #cgroup(name: string): string {
    const [, group = '', file] = /^cgroup ([^/]*)(\/.*)?$/.exec(name) ?? [];
    const path = this.#cgroups.get(group) ?? `${CGROUPS}/${group.replaceAll(' ', '-')}`;
    if (!this.#cgroups.has(group)) {
      mkdirSync(path);
      if (group.includes('alice')) chownSync(path, ALICE, ALICE);
      this.#cgroups.set(group, path);
      this.#numbers.set(statSync(path).ino, `<cgroup ${group}>`);
    }
    return path + (file ?? '');
  }

  /** What the kernel says of them, by name: of those that `matters` now, of the others before. */
  state(matters: (name: string) => boolean = () => true): Record<string, object> {
    const maps = [...this.#namespaces].map(([name, { child }]) => {
      const read = (file: string) => readFileSync(`/proc/${child.pid}/${file}`, 'ascii').trim().split(/\s+/).join(' ');
      return [name, () => ({ uid_map: read('uid_map'), gid_map: read('gid_map') })] as const;
    });
    const owners = [...this.#cgroups].map(([name, path]) => {
      const files = ['', 'cgroup.procs', 'cgroup.subtree_control', 'cgroup.threads', 'cgroup.type'];
      return [`cgroup ${name}`, () => files.map((file) => ownerAndMode(`${path}/${file}`))] as const;
    });
    for (const [name, look] of [...maps, ...owners])
      if (matters(name) || !(name in this.#known)) this.#known[name] = look();
    return { ...this.#known };
  }

  /** The numbers by which the registry knows them, and their names. */
  numbers(): ReadonlyMap<number, string> {
    return this.#numbers;
  }

  [Symbol.dispose](): void {
    for (const namespace of this.#namespaces.values()) namespace[Symbol.dispose]();
    for (const path of this.#cgroups.values()) rmdirSync(path);
    rmdirSync(CGROUPS);
  }
}

function ownerAndMode(path: string): string {
  const { uid, gid, mode } = statSync(path);
  return `${uid}:${gid} ${mode.toString(8)}`;
}
