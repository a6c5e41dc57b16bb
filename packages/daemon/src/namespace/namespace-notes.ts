import { fstatSync, mkdirSync, openSync, readdirSync, readlinkSync, symlinkSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { EPERM, Fd, isSystemError, O_DIRECTORY, O_NOFOLLOW, SystemError } from '@sdrx/linux';
import type { EntrySnapshot } from '../registry/entry-snapshot.js';
import type { Registry } from '../registry/registry.js';

const DEATH = /^x([1-9]\d{0,9})$/;

/**
 * What is noted of registered namespaces in `nsresource/namespace-ids`, beside the registry, whose format is shared with
 * releases of systemd that know no such fields. By the namespace's inode: `i`, a symbolic link to its id and to what tells
 * its entry from others, as another daemon may have registered another namespace since; `x`, a symbolic link to what tells its
 * entry: it is dead, its release has begun.
 *
 * The folder is opened without following a link, and must be ours alone. All is done by its descriptor, so what another
 * folder holds is never touched. A method that has to change something throws what keeps it from that: ENOTDIR and ELOOP for
 * what is no folder, EPERM for one that others may write to, EIO, ENOSPC, EROFS.
 */
export class NamespaceNotes {
  readonly #directory: string;

  /** @param runtimeDirectory the one that has the registry */
  constructor(runtimeDirectory: string) {
    this.#directory = `${runtimeDirectory}/nsresource/namespace-ids`;
  }

  /** The notes beside a registry. */
  static beside({ directory }: Pick<Registry, 'directory'>): NamespaceNotes {
    return new NamespaceNotes(join(directory, '../..'));
  }

  /**
   * Notes the id of a namespace, in place of that of an earlier one with the same inode.
   * @param file what tells its entry from others, as in `EntrySnapshot`: an entry that is changed needs another note
   */
  remember(inode: number, id: bigint, file: string): void {
    this.#replace(`i${inode}`, `${id} ${file}`);
  }

  /** The noted id of the namespace that an entry is about. */
  id({ inode, file }: Pick<EntrySnapshot, 'inode' | 'file'>): bigint | undefined {
    return this.#look((folder) => idFor(asId(folder.link(`i${inode}`)), file));
  }

  /** Notes that a namespace died, so that its release is not forgotten should we be killed. */
  died(inode: number, file: string): void {
    this.#replace(`x${inode}`, file);
  }

  /** The namespaces that died, and what their entries are known by. */
  deaths(): Map<number, string> {
    const deaths = new Map<number, string>();
    this.#look((folder) => {
      for (const inode of folder.inodes(DEATH)) deaths.set(inode, folder.link(`x${inode}`) ?? '');
    });
    return deaths;
  }

  /** Removes all that is noted of a namespace; harmless if nothing is. */
  forget(inode: number): void {
    using folder = this.#open();
    for (const kind of 'ix') folder?.remove(`${kind}${inode}`);
  }

  /** Whether there is a note of a namespace that is none of `inodes`: a process was killed, or is about to register it. */
  hasOthers(inodes: ReadonlySet<number>): boolean {
    const isOther = (file: string) => !inodes.has(Number(/^[ix](\d+)$/.exec(file)?.[1]));
    return this.#look((folder) => folder.files().some(isOther)) ?? false;
  }

  /** Forgets all but `inodes`. Hold the registry's lock, so that nobody is between note and entry. */
  prune(inodes: readonly number[]): void {
    const kept = new Set(inodes.flatMap((inode) => [`i${inode}`, `x${inode}`]));
    using folder = this.#open();
    const failures: unknown[] = [];
    for (const file of folder?.files() ?? []) {
      try {
        if (!kept.has(file)) folder?.remove(file);
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  /** Looks something up; there is nothing in a folder that is none, or not ours alone. */
  #look<T>(what: (folder: OpenFolder) => T): T | undefined {
    try {
      using folder = this.#open();
      return folder === undefined ? undefined : what(folder);
    } catch (error) {
      if (isSystemError(error, 'ENOTDIR', 'ELOOP', 'EPERM', 'EACCES')) return undefined;
      throw error;
    }
  }

  /** Not in one step: without a note it is only harder to tell. So there is no file that could be left half-way. */
  #replace(file: string, target: string): void {
    using folder = this.#make();
    folder.remove(file);
    folder.symlink(target, file);
  }

  #make(): OpenFolder {
    mkdirSync(this.#directory, { recursive: true, mode: 0o755 });
    return new OpenFolder(this.#directory);
  }

  #open(): OpenFolder | undefined {
    try {
      return new OpenFolder(this.#directory);
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return undefined;
      throw error;
    }
  }
}

/** An id, and which entry it is for; those of earlier releases are for any. */
interface NotedId {
  readonly id: bigint;
  readonly file: string | undefined;
}

/** The id if it was noted for this entry. */
function idFor(noted: NotedId | undefined, file: string): bigint | undefined {
  return noted !== undefined && (noted.file ?? file) === file ? noted.id : undefined;
}

/** A folder that nobody else may write to, reached by its descriptor. */
class OpenFolder implements Disposable {
  readonly #fd: Fd;
  readonly #path: string;

  /** Throws ENOENT, ENOTDIR and ELOOP, also for a symbolic link, EPERM if it is not ours alone. */
  constructor(path: string) {
    this.#fd = new Fd(openSync(path, O_DIRECTORY | O_NOFOLLOW));
    this.#path = `/proc/self/fd/${this.#fd.number}`;
    try {
      const { uid, mode } = fstatSync(this.#fd.number);
      if (uid !== process.geteuid?.() || (mode & 0o022) !== 0) throw new SystemError(EPERM, 'open', path);
    } catch (error) {
      this.#fd.close();
      throw error;
    }
  }

  files(): string[] {
    return readdirSync(this.#path);
  }

  inodes(kind: RegExp): number[] {
    return this.files().flatMap((file) => kind.exec(file)?.slice(1).map(Number) ?? []);
  }

  /** Undefined if there is no such link. */
  link(file: string): string | undefined {
    try {
      return readlinkSync(`${this.#path}/${file}`);
    } catch (error) {
      if (isSystemError(error, 'ENOENT', 'EINVAL')) return undefined;
      throw error;
    }
  }

  symlink(target: string, file: string): void {
    symlinkSync(target, `${this.#path}/${file}`);
  }

  remove(file: string): void {
    try {
      unlinkSync(`${this.#path}/${file}`);
    } catch (error) {
      if (!isSystemError(error, 'ENOENT')) throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}

function asId(text: string | undefined): NotedId | undefined {
  const [, id, file] = /^(\d{1,20})(?: (.+))?$/.exec(text ?? '') ?? [];
  return id === undefined ? undefined : { id: BigInt.asUintN(64, BigInt(id)), file };
}
