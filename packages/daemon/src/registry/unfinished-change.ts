import { fstatSync, ftruncateSync, readSync, writeSync } from 'node:fs';
import * as t from 'io-ts';

const Files = t.array(t.string);

/** More than the names of one change take up, in bytes. */
const SIZE_MAX = 64 * 1024;

/**
 * The names of the files that a change is about, for as long as it is not finished. They stand in the file that is locked
 * meanwhile, which has no other content: who gets the lock next finds what a killed process left behind, and need not
 * look through all of the registry for it.
 */
export class UnfinishedChange {
  readonly #fd: number;

  /** @param fd of the locked file, whose owner remains who calls */
  constructor(fd: number) {
    this.#fd = fd;
  }

  /** None where the last change was finished; undefined if any file may be concerned. */
  files(): readonly string[] | undefined {
    const { size } = fstatSync(this.#fd);
    if (size === 0) return [];
    if (size > SIZE_MAX) return undefined;
    const bytes = Buffer.alloc(size);
    readSync(this.#fd, bytes, 0, size, 0);
    try {
      const files: unknown = JSON.parse(bytes.toString());
      return Files.is(files) ? files : undefined;
    } catch {
      return undefined;
    }
  }

  /**
   * Notes what is going to be changed.
   * @param files undefined if that can't be told before
   * Throws ENOSPC.
   */
  begin(files: readonly string[] | undefined): void {
    const bytes = Buffer.from(JSON.stringify(files ?? 'any'));
    // Whoever is killed between the two leaves something that tells nothing.
    writeSync(this.#fd, bytes, 0, bytes.length, 0);
    ftruncateSync(this.#fd, bytes.length);
  }

  finish(): void {
    ftruncateSync(this.#fd, 0);
  }
}
