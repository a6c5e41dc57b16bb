import { lstatSync, mkdirSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, relative } from 'node:path';
import type { HandedSocket } from '@sdrx/event';
import { connect, type Fd, isSystemError, peerCredentials, unixSocket } from '@sdrx/linux';
import { namespaceResource } from '../interfaces/namespace-resource.js';
import { AlreadyServedError } from './manager-lock.js';
import { NamedSocket, type ServedSocket } from './named-socket.js';

/** The socket of our own that clients connect to, with the link by which user databases find it. https://systemd.io/USER_GROUP_API */
export class ListeningSocket implements ServedSocket {
  readonly #socket: NamedSocket;
  readonly #link: string;
  readonly #target: string;
  #isOurs = true;

  private constructor(runtimeDirectory: string, socket: NamedSocket) {
    this.#socket = socket;
    this.#link = `${runtimeDirectory}/userdb/${namespaceResource.name}`;
    this.#target = relative(dirname(this.#link), socket.path);
  }

  /** Where it is unless somebody says something else. */
  static defaultPath(runtimeDirectory: string): string {
    return `${runtimeDirectory}/${namespaceResource.name}`;
  }

  /**
   * Listens at `path`, where clients of every user may connect, in place of what a former daemon left there.
   * @param former the managers before this one, whose workers may not have ended yet
   * Throws AlreadyServedError when somebody else listens there.
   */
  static listen(runtimeDirectory: string, path: string, former: readonly number[]): ListeningSocket {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    removeFormer(path, former);
    const socket = new ListeningSocket(runtimeDirectory, NamedSocket.listen(path, 0o666));
    try {
      socket.#putLink();
      return socket;
    } catch (error) {
      socket[Symbol.dispose]();
      throw error;
    }
  }

  /** That of a manager that gives way to this one, whose it stays until `claim`. */
  static inherit(runtimeDirectory: string, path: string, handed: HandedSocket): ListeningSocket {
    const socket = new ListeningSocket(runtimeDirectory, NamedSocket.inherit(path, handed));
    socket.#isOurs = false;
    return socket;
  }

  get fd(): Fd {
    return this.#socket.fd;
  }

  get path(): string {
    return this.#socket.path;
  }

  handed(name: string): HandedSocket {
    return this.#socket.handed(name);
  }

  claim(): void {
    this.#isOurs = true;
    this.#socket.claim();
  }

  resign(): void {
    this.#isOurs = false;
    this.#socket.resign();
  }

  /** Closes it and removes its names, unless another service has taken them over. */
  [Symbol.dispose](): void {
    const removesLink = this.#isOurs && this.#socket.isThere && isLinkTo(this.#link, this.#target);
    this.#socket[Symbol.dispose]();
    if (removesLink) rmSync(this.#link, { force: true });
  }

  #putLink(): void {
    mkdirSync(dirname(this.#link), { recursive: true, mode: 0o755 });
    rmSync(this.#link, { force: true });
    symlinkSync(this.#target, this.#link);
  }
}

/**
 * Throws AlreadyServedError when somebody listens at a path.
 * @param former managers that have ended; their workers hold the socket until they end, too, but accept nothing any more
 */
export function refuseIfServed(path: string, former: readonly number[]): void {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isSocket()) return;
  const listener = listenerAt(path);
  if (listener === undefined || former.includes(listener)) return;
  throw new AlreadyServedError(
    `${isAlive(listener) ? `process ${listener}` : 'another process'} listens at '${path}' already: end that service first ` +
      '(systemctl stop systemd-nsresourced.socket systemd-nsresourced.service), or say --listen= with another path',
  );
}

/** Removes a socket that to connect to would say is served, although nobody accepts. Throws as `refuseIfServed`. */
function removeFormer(path: string, former: readonly number[]): void {
  refuseIfServed(path, former);
  // Only a socket: whatever else somebody keeps there, to listen fails for it.
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() && listenerAt(path) !== undefined) rmSync(path);
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
    // 0 would be this process's group.
    return pid !== 0 && process.kill(pid, 0);
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
