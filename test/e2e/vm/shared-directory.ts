import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';

/** A directory of the root file system in which anyone may make files, with a file `old` of its owner. */
export class SharedDirectory implements Disposable {
  readonly path = mkdtempSync('/var/lib/shared-');

  constructor(owner: number) {
    prepare(this.path, owner);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true });
  }
}

/** Makes a directory such a one. */
export function prepare(directory: string, owner: number): void {
  chmodSync(directory, 0o777);
  writeFileSync(`${directory}/old`, '');
  chownSync(`${directory}/old`, owner, owner);
}
