import { mkdirSync, readdirSync, readlinkSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import {
  CAP_SYS_PTRACE,
  hasCapability,
  isSystemError,
  namespaceId,
  namespaceInode,
  openUserNamespace,
} from '@sdrx/linux';
import { liveUserNamespaces } from './namespace-scan.js';

/**
 * Tells whether registered user namespaces still exist, without holding any of them alive.
 *
 * A namespace's inode is given again after its death, but kernels from 6.18 on also give it an id that is not, and can
 * find it by that. The id is remembered as the target of the symbolic link `nsresource/namespace-ids/i<inode>`, beside
 * the registry, since systemd shares that one and knows no ids. For a namespace without one, all of /proc is searched; where
 * that can't be done, it counts as alive.
 */
export class NamespaceLiveness {
  readonly #directory: string;
  readonly #alive: () => ReadonlySet<number> | undefined;

  /**
   * @param runtimeDirectory the one that has the registry
   * @param alive searches for namespaces without an id; undefined if it can't
   */
  constructor(
    runtimeDirectory: string,
    alive: () => ReadonlySet<number> | undefined = () =>
      NamespaceLiveness.canSearch() ? liveUserNamespaces() : undefined,
  ) {
    this.#directory = `${runtimeDirectory}/nsresource/namespace-ids`;
    this.#alive = alive;
  }

  /** Whether this process may look into all others; if not, living namespaces would look dead. capabilities(7) */
  static canSearch(): boolean {
    return hasCapability(CAP_SYS_PTRACE);
  }

  /**
   * Remembers which namespace has this inode, in place of an earlier one. Do it before its entry is stored: else the id
   * of a dead namespace with the same inode could make the entry look dead. Does nothing where there are no ids.
   */
  remember(fd: number, inode: number): void {
    const id = namespaceId(fd);
    if (id === undefined) {
      this.forget(inode);
      return;
    }
    mkdirSync(this.#directory, { recursive: true, mode: 0o755 });
    const temporary = `${this.#directory}/.#${process.pid}-${inode}`;
    rmSync(temporary, { force: true });
    symlinkSync(String(id), temporary);
    renameSync(temporary, this.#path(inode));
  }

  /** Forgets all about a namespace that is released; harmless if there is nothing. */
  forget(inode: number): void {
    rmSync(this.#path(inode), { force: true });
    this.trust(inode);
  }

  /**
   * Notes that something is kept for a namespace that may be all that holds it alive, such as a mount that was made in it:
   * a file system keeps the namespace that it was made in.
   * @returns false if that is noted already
   */
  doubt(inode: number): boolean {
    mkdirSync(this.#directory, { recursive: true, mode: 0o755 });
    try {
      writeFileSync(this.#doubtPath(inode), '', { flag: 'wx' });
      return true;
    } catch (error) {
      if (isSystemError(error, 'EEXIST')) return false;
      throw error;
    }
  }

  /** Takes `doubt` back, once nothing is kept; harmless without it. */
  trust(inode: number): void {
    rmSync(this.#doubtPath(inode), { force: true });
  }

  /** The doubted namespaces that nobody else is found to use. */
  forsaken(): number[] {
    const doubted = this.#files().flatMap((file) => /^d(\d+)$/.exec(file)?.slice(1).map(Number) ?? []);
    if (doubted.length === 0) return [];
    const found = this.#alive();
    return found === undefined ? [] : doubted.filter((inode) => !found.has(inode));
  }

  /** Forgets all but `inodes`. Hold the registry's lock, so that nobody is between id and entry. */
  prune(inodes: readonly number[]): void {
    const kept = new Set(inodes.flatMap((inode) => [`i${inode}`, `d${inode}`]));
    for (const file of this.#files()) {
      if (!kept.has(file)) rmSync(`${this.#directory}/${file}`, { force: true });
    }
  }

  /**
   * Which of the namespaces with these inodes are dead. Those without an id count as dead when no process, descriptor,
   * mount or other namespace is found to use one with that inode.
   */
  dead(inodes: readonly number[]): number[] {
    const known = new Set(this.#files());
    const isDead = new Map(inodes.map((inode) => [inode, known.has(`i${inode}`) ? this.#isDead(inode) : undefined]));
    const found = inodes.some((inode) => isDead.get(inode) === undefined) ? this.#alive() : undefined;
    return inodes.filter((inode) => isDead.get(inode) ?? found?.has(inode) === false);
  }

  /** Whether `fd` is the very namespace that was remembered with this inode; undefined if there is no telling. */
  isSame(fd: number, inode: number): boolean | undefined {
    if (namespaceInode(fd) !== inode) return false;
    const remembered = this.#id(inode);
    return remembered === undefined ? undefined : remembered === namespaceId(fd);
  }

  /** Undefined if there is no id, or the kernel does not take it. */
  #isDead(inode: number): boolean | undefined {
    const id = this.#id(inode);
    if (id === undefined) return undefined;
    try {
      openUserNamespace(id, inode).close();
      return false;
    } catch (error) {
      if (isSystemError(error, 'ESTALE')) return true;
      if (isSystemError(error, 'EPERM', 'EBADF', 'EOPNOTSUPP', 'EINVAL')) return undefined;
      throw error;
    }
  }

  #id(inode: number): bigint | undefined {
    try {
      const target = readlinkSync(this.#path(inode));
      return /^\d{1,20}$/.test(target) ? BigInt.asUintN(64, BigInt(target)) : undefined;
    } catch (error) {
      if (isSystemError(error, 'ENOENT', 'EINVAL')) return undefined;
      throw error;
    }
  }

  #path(inode: number): string {
    return `${this.#directory}/i${inode}`;
  }

  #doubtPath(inode: number): string {
    return `${this.#directory}/d${inode}`;
  }

  #files(): string[] {
    try {
      return readdirSync(this.#directory);
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return [];
      throw error;
    }
  }
}
