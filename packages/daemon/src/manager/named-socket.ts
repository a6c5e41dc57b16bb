import { lstatSync, rmSync } from 'node:fs';
import { type HandedSocket, listenUnix } from '@sdrx/event';
import { type Fd, listen } from '@sdrx/linux';

/** A socket that a manager hands to the next one. */
export interface ServedSocket extends Disposable {
  /** Closed with this object. */
  readonly fd: Fd;
  /** What the next manager needs to know of it. */
  handed(name: string): HandedSocket;
  /** Makes it this process's, which has it from another one. */
  claim(): void;
  /** Leaves it to another process, and closes it. */
  resign(): void;
}

/** One that the service manager has passed: what there is of it in the file system is that one's. */
export class PassedSocket implements ServedSocket {
  constructor(readonly fd: Fd) {}

  handed(name: string): HandedSocket {
    return { name, passed: true, fileIdentity: undefined, fd: this.fd };
  }

  claim(): void {}

  resign(): void {
    this.fd.close();
  }

  [Symbol.dispose](): void {
    this.fd.close();
  }
}

/** One of the daemon's own, with its name in the file system, which goes with the process whose it is. */
export class NamedSocket implements ServedSocket {
  #isOurs: boolean;

  private constructor(
    readonly fd: Fd,
    readonly path: string,
    readonly identity: string,
    isOurs: boolean,
  ) {
    this.#isOurs = isOurs;
  }

  /** Listens at a path. Throws as `listenUnix`: EADDRINUSE where somebody listens. */
  static listen(path: string, mode: number): NamedSocket {
    const { fd } = listenUnix(path, { mode });
    return new NamedSocket(fd, path, identityOf(path) ?? '', true);
  }

  /** One that another process listens at, whose it stays until `claim`. Takes over its descriptor. */
  static inherit(path: string, { fd, fileIdentity = '' }: HandedSocket): NamedSocket {
    return new NamedSocket(fd, path, fileIdentity, false);
  }

  /** Whether clients find it by its path still, rather than what somebody else has put there. */
  get isThere(): boolean {
    return identityOf(this.path) === this.identity;
  }

  handed(name: string): HandedSocket {
    return { name, passed: false, fileIdentity: this.identity, fd: this.fd };
  }

  claim(): void {
    this.#isOurs = true;
    // Who connects is told who listens, by which a later daemon finds out whether that one lives. unix(7) SO_PEERCRED
    listen(this.fd.number);
  }

  resign(): void {
    this.#isOurs = false;
    this.fd.close();
  }

  [Symbol.dispose](): void {
    this.fd.close();
    if (this.#isOurs && this.isThere) rmSync(this.path, { force: true });
  }
}

function identityOf(path: string): string | undefined {
  const stats = lstatSync(path, { throwIfNoEntry: false, bigint: true });
  return stats && `${stats.dev}:${stats.ino}`;
}
