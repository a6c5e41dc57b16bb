import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atExit } from './at-exit.js';

/** A folder of its own below the system's temporary directory, removed with all that is in it when disposed of. */
export class Folder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'sdrx-bench-'));
  readonly #disposed = atExit(() => this.#remove());

  constructor() {
    // Clients of other users look for sockets in it.
    chmodSync(this.path, 0o755);
  }

  join(...names: readonly string[]): string {
    return join(this.path, ...names);
  }

  [Symbol.dispose](): void {
    this.#disposed();
    this.#remove();
  }

  #remove(): void {
    // A service that was just killed may still have put something there.
    rmSync(this.path, { recursive: true, force: true, maxRetries: 5 });
  }
}
