import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { BpfMap } from '@sdrx/bpf';
import { isSystemError } from '@sdrx/linux';
import { type ProgramResult, runProgram } from '../../support/run-program.js';
import { UserNamespace } from '../../support/user-namespace.js';
import type { RawReply } from '../../support/varlink-call.js';
import { type Answer, callAs } from './caller.js';
import { isEmulated } from './machine.js';
import { API, FORMER_PINS, PINS, REGISTRY } from './service.js';

/** The map of restricted namespaces. */
export const NAMESPACES = `${PINS}/maps/userns_managed`;

/** The one that systemd's daemon had before 262. */
const FORMER_NAMESPACES = `${FORMER_PINS}/maps/userns_mnt_id_hash`;

/** A namespace without maps of root's, which gets a range of 65,536 ids. */
export class RegisteredNamespace implements Disposable {
  readonly namespace = new UserNamespace();
  readonly inode: number;

  private constructor() {
    this.inode = statSync(this.path).ino;
  }

  /** @param more parameters of AllocateUserRange */
  static async create(name: string, more: Readonly<Record<string, unknown>> = {}): Promise<RegisteredNamespace> {
    const namespace = new RegisteredNamespace();
    succeeded(
      await callAs(0, {
        method: `${API}.AllocateUserRange`,
        parameters: { name, size: 65_536, userNamespaceFileDescriptor: 0, ...more },
        files: [{ path: namespace.path }],
      }),
    );
    return namespace;
  }

  get path(): string {
    return `/proc/${this.namespace.child.pid}/ns/user`;
  }

  /** The first of its ids outside. */
  get start(): number {
    return Number(readFileSync(`/proc/${this.namespace.child.pid}/uid_map`, 'ascii').trim().split(/\s+/)[1]);
  }

  /** Adds the mount that has `directory`, which lets it own files there until systemd 261. @param flags of open(2) */
  async addMount(directory: string, flags = 0): Promise<void> {
    succeeded(
      await callAs(0, {
        method: `${API}.AddMountToUserNamespace`,
        parameters: { userNamespaceFileDescriptor: 0, mountFileDescriptor: 1 },
        files: [{ path: this.path }, { path: directory, flags }],
      }),
    );
  }

  /** Gives it the control group that is `directory`. */
  async addCgroup(directory: string): Promise<void> {
    succeeded(
      await callAs(0, {
        method: `${API}.AddControlGroupToUserNamespace`,
        parameters: { userNamespaceFileDescriptor: 0, controlGroupFileDescriptor: 1 },
        files: [{ path: this.path }, { path: directory }],
      }),
    );
  }

  /** Runs a shell script as its root. */
  run(script: string, ...args: readonly string[]): ProgramResult {
    return runIn(this.path, script, ...args);
  }

  [Symbol.dispose](): void {
    this.namespace[Symbol.dispose]();
  }
}

/** Runs a shell script as root of a user namespace. */
export function runIn(path: string, script: string, ...args: readonly string[]): ProgramResult {
  const shell = ['sh', '-c', `exec 2>&1; ${script}`, 'sh', ...args];
  return runProgram('nsenter', [`--user=${path}`, '--setuid=0', '--setgid=0', ...shell]);
}

export function succeeded(answer: Answer): RawReply {
  if ('closed' in answer || answer.error !== undefined) throw new Error(`refused: ${JSON.stringify(answer)}`);
  return answer;
}

/** What there is of a registered namespace, each by its name; nothing once it is released. */
export function traces(inode: number): string[] {
  const places = {
    registry: () => existsSync(`${REGISTRY}/i${inode}.userns`),
    BPF: () => isEmulated && restricted().has(inode),
    'fd store': () => stored().includes(inode),
  };
  return Object.entries(places).flatMap(([name, has]) => (has() ? [name] : []));
}

/** The namespaces that the kernel restricts. */
export function restricted(): Set<number> {
  using namespaces = BpfMap.openPinned(existsSync(NAMESPACES) ? NAMESPACES : FORMER_NAMESPACES);
  return new Set([...namespaces.keys()].map((key) => key.readUInt32LE()));
}

/** The inodes of the namespaces that systemd holds in fd stores: that of 252 can't list what it has there. */
export function stored(): number[] {
  const targets = readdirSync('/proc/1/fd').map((fd) => target(`/proc/1/fd/${fd}`));
  return targets.flatMap((text) => /^user:\[(\d+)\]$/.exec(text)?.slice(1) ?? []).map(Number);
}

/** Where a symbolic link leads, and nowhere if it is gone. */
function target(path: string): string {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return '';
    throw error;
  }
}
