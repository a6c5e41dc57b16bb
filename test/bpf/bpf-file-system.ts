import { execFileSync } from 'node:child_process';
import { Folder } from '../support/folder.js';

/** A BPF file system of its own, for what is to be pinned; gone with all that is in it when disposed of. */
export class BpfFileSystem implements Disposable {
  readonly #folder = new Folder();

  constructor() {
    execFileSync('mount', ['-t', 'bpf', 'bpf', this.path]);
  }

  get path(): string {
    return this.#folder.path;
  }

  [Symbol.dispose](): void {
    execFileSync('umount', [this.path]);
    this.#folder[Symbol.dispose]();
  }
}
