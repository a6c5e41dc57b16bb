import { fchmodSync, lstatSync, mkdirSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, relative } from 'node:path';
import { bind, connect, type Fd, isSystemError, listen, peerCredentials, unixSocket } from '@sdrx/linux';
import { namespaceResource } from './interfaces/namespace-resource.js';
import { AlreadyServedError } from './manager-lock.js';

/** A socket of our own, with its name in the file system. */
export class ListeningSocket implements Disposable {
  readonly #fd: Fd;
  readonly #link: string;
  readonly #target: string;
  readonly #inode: number;

  /** Where it is unless somebody says something else. */
  static defaultPath(runtimeDirectory: string): string {
    return `${runtimeDirectory}/${namespaceResource.name}`;
  }

  /**
   * Listens at `path`, where clients of every user may connect, in place of what a former daemon left there; the link
   * below `runtimeDirectory` is how user databases find it. https://systemd.io/USER_GROUP_API
   * @param former the manager before this one, whose workers may not have ended yet
   * Throws AlreadyServedError when somebody else listens there.
   */
  constructor(
    runtimeDirectory: string,
    readonly path = ListeningSocket.defaultPath(runtimeDirectory),
    former?: number,
  ) {
    this.#link = `${runtimeDirectory}/userdb/${namespaceResource.name}`;
    this.#fd = unixSocket();
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
      refuseIfServed(path, former);
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
      this.#target = relative(dirname(this.#link), path);
      symlinkSync(this.#target, this.#link);
      listen(this.#fd.number);
    } catch (error) {
      this.#fd.close();
      throw error;
    }
  }

  get fd(): number {
    return this.#fd.number;
  }

  /** Closes it and removes its names, unless another service has taken them over. */
  [Symbol.dispose](): void {
    this.#fd.close();
    if (lstatSync(this.path, { throwIfNoEntry: false })?.ino !== this.#inode) return;
    rmSync(this.path, { force: true });
    if (isLinkTo(this.#link, this.#target)) rmSync(this.#link, { force: true });
  }
}

/**
 * Throws AlreadyServedError when somebody listens at a path.
 * @param former a manager that has ended; its workers hold its socket until they end, too, but accept nothing any more
 */
export function refuseIfServed(path: string, former?: number): void {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isSocket()) return;
  const listener = listenerAt(path);
  if (listener === undefined || listener === former || (listener !== 0 && !isAlive(listener))) return;
  throw new AlreadyServedError(
    `${listener === 0 ? 'another process' : `process ${listener}`} listens at '${path}' already: end that service first ` +
      '(systemctl stop systemd-nsresourced.socket systemd-nsresourced.service), or say --listen= with another path',
  );
}

/** Who made a socket listen, by process id, 0 if it can't be told; undefined if nobody listens any more. */
function listenerAt(path: string): number | undefined {
  using probe = unixSocket();
  try {
    connect(probe.number, path);
    return peerCredentials(probe.number).pid;
  } catch (error) {
    if (isSystemError(error, 'ECONNREFUSED', 'ENOENT')) return undefined;
    // Its queue is full, or it is a socket of another type.
    if (isSystemError(error, 'EAGAIN', 'EPROTOTYPE')) return 0;
    throw error;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !isSystemError(error, 'ESRCH');
  }
}

function isLinkTo(link: string, target: string): boolean {
  try {
    return readlinkSync(link) === target;
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'EINVAL')) return false;
    throw error;
  }
}
