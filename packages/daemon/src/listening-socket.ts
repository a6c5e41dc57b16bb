import { fchmodSync, lstatSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, relative } from 'node:path';
import { bind, type Fd, listen, unixSocket } from '@sdrx/linux';
import { namespaceResource } from './interfaces/namespace-resource.js';

/** A socket of our own, with its name in the file system. */
export class ListeningSocket implements Disposable {
  readonly #fd: Fd;
  readonly #link: string;
  readonly #inode: number;

  /**
   * Listens at `path`, where clients of every user may connect, in place of what a former daemon left there; the link
   * below `runtimeDirectory` is how user databases find it. https://systemd.io/USER_GROUP_API
   */
  constructor(
    runtimeDirectory: string,
    readonly path = `${runtimeDirectory}/${namespaceResource.name}`,
  ) {
    this.#link = `${runtimeDirectory}/userdb/${namespaceResource.name}`;
    this.#fd = unixSocket();
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
      // Only a socket: whatever else somebody keeps there, bind fails for it.
      if (lstatSync(path, { throwIfNoEntry: false })?.isSocket()) rmSync(path, { force: true });
      // Before it has a name, so that it never has one with another mode.
      fchmodSync(this.#fd.number, 0o666);
      const umask = process.umask(0);
      try {
        bind(this.#fd.number, path);
      } finally {
        process.umask(umask);
      }
      this.#inode = lstatSync(path).ino;
      mkdirSync(dirname(this.#link), { recursive: true, mode: 0o755 });
      rmSync(this.#link, { force: true });
      symlinkSync(relative(dirname(this.#link), path), this.#link);
      listen(this.#fd.number);
    } catch (error) {
      this.#fd.close();
      throw error;
    }
  }

  get fd(): number {
    return this.#fd.number;
  }

  /** Closes it and removes its names, unless another daemon has taken them over. */
  [Symbol.dispose](): void {
    this.#fd.close();
    if (lstatSync(this.path, { throwIfNoEntry: false })?.ino !== this.#inode) return;
    rmSync(this.path, { force: true });
    rmSync(this.#link, { force: true });
  }
}
