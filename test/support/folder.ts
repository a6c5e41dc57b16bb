import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder of its own below the system's temporary directory, removed with all that is in it when disposed of. */
export class Folder implements Disposable {
  static readonly #all = new Set<string>();

  readonly path = mkdtempSync(join(tmpdir(), 'sdrx-test-'));

  constructor() {
    Folder.#all.add(this.path);
  }

  /** Those that there are. */
  static paths(): string[] {
    return [...Folder.#all];
  }

  join(...names: readonly string[]): string {
    return join(this.path, ...names);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true });
    Folder.#all.delete(this.path);
  }
}
