import { IN_ATTRIB, IN_DELETE_SELF, IN_IGNORED, IN_ISDIR } from '@sdrx/linux';
import type { FileRecord } from './virtual-inotify.js';

/**
 * Told of what happens to a file.
 * @param unlinked it happens to one that was removed and that somebody has open still
 */
export type Happens = (inode: VirtualInode, record: FileRecord, unlinked: boolean) => void;

/** A file or directory. */
export class VirtualInode {
  /** Where it is, or was when it was removed. */
  parent: VirtualInode | undefined;
  name: string;
  /** What is in a directory; undefined for a file, and where that is not known. */
  entries: Map<string, VirtualInode> | undefined;
  /** How often it is open. */
  opened = 0;
  isRemoved = false;
  #kind: 'file' | 'directory' | 'unknown';

  constructor(kind: 'file' | 'directory' | 'unknown', name: string, parent?: VirtualInode) {
    this.#kind = kind;
    this.name = name;
    this.parent = parent;
    if (kind === 'directory') this.entries = new Map();
    parent?.entries?.set(name, this);
  }

  get kind(): 'file' | 'directory' | 'unknown' {
    return this.#kind;
  }

  /** From now on it is known what is in it: nothing. */
  becomeDirectory(): void {
    this.#kind = 'directory';
    this.entries = new Map();
  }

  /** For the root of all, the path that it was made with. */
  get path(): string {
    return this.parent === undefined ? this.name : `${this.parent.path}/${this.name}`;
  }

  /** Whether another is within it, or is itself. */
  holds(other: VirtualInode): boolean {
    return other === this || (other.parent !== undefined && this.holds(other.parent));
  }

  /** Takes it out of its directory. */
  remove(): void {
    this.parent?.entries?.delete(this.name);
    this.isRemoved = true;
  }

  move(parent: VirtualInode, name: string): void {
    this.parent?.entries?.delete(this.name);
    this.parent = parent;
    this.name = name;
    parent.entries?.set(name, this);
  }

  /** Something happens to it: its directory is told, by its name, and then it is itself. */
  happens(mask: number, happens: Happens): void {
    const { parent, name, isRemoved } = this;
    const whole = mask | this.#isDirectory;
    if (parent !== undefined) happens(parent, { mask: whole, cookie: 0, name }, isRemoved);
    happens(this, { mask: whole, cookie: 0, name: '' }, isRemoved);
  }

  /** Something happens in its directory, which alone is told. */
  happensThere(mask: number, happens: Happens, cookie = 0): void {
    const { parent, name } = this;
    if (parent !== undefined) happens(parent, { mask: mask | this.#isDirectory, cookie, name }, false);
  }

  /** It loses a name: the number of its links, which is one of its attributes, changes. */
  loses(happens: Happens): void {
    happens(this, { mask: IN_ATTRIB | this.#isDirectory, cookie: 0, name: '' }, false);
  }

  /** The end of one that was removed and that nobody has open. */
  endIfUnused(happens: Happens): void {
    if (!this.isRemoved || this.opened > 0) return;
    happens(this, { mask: IN_DELETE_SELF, cookie: 0, name: '' }, false);
    happens(this, { mask: IN_IGNORED, cookie: 0, name: '' }, false);
  }

  get #isDirectory(): number {
    return this.kind === 'directory' ? IN_ISDIR : 0;
  }
}
