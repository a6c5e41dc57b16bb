import { fstatSync } from 'node:fs';
import { EPOLLERR, EPOLLHUP, Fd, isSystemError, O_NONBLOCK, pollNow, setNonBlocking, statusFlags } from '@sdrx/linux';

/** A descriptor that a service manager keeps. */
export interface StoredFd {
  /** Its FDNAME. */
  readonly name: string;
  /** The manager's copy, closed with the loop or when it is forgotten. */
  readonly fd: Fd;
  /** Whether it is forgotten when it hangs up or reports an error: not with FDPOLL=0. */
  readonly poll: boolean;
}

/** systemd's name for those that are given none. */
const NO_NAME = 'stored';

/** Descriptors that a service manager keeps for a service: real ones. sd_pid_notify_with_fds(3) */
export class VirtualFdStore implements Disposable {
  readonly #most: number;
  #stored: readonly StoredFd[] = [];

  /** @param most FileDescriptorStoreMax= */
  constructor(most: number) {
    this.#most = most;
  }

  get stored(): readonly StoredFd[] {
    return this.#stored;
  }

  /** Takes over a descriptor. One that is kept already is not kept twice, and what there is no room for is closed. */
  keep(number: number, name = NO_NAME, poll = true): void {
    const fd = new Fd(number);
    if (this.#stored.length >= this.#most || this.#stored.some((each) => isSameOpenFile(each.fd.number, number)))
      fd.close();
    else this.#stored = [...this.#stored, { name, fd, poll }];
  }

  /** Closes all of a name. */
  forget(name: string): void {
    this.#closeIf((stored) => stored.name === name);
  }

  /** Closes those that have hung up. */
  look(): void {
    this.#closeIf(({ fd, poll }) => poll && (pollNow(fd.number, 0) & (EPOLLHUP | EPOLLERR)) !== 0);
  }

  [Symbol.dispose](): void {
    this.#closeIf(() => true);
  }

  #closeIf(which: (stored: StoredFd) => boolean): void {
    const gone = this.#stored.filter(which);
    if (gone.length === 0) return;
    this.#stored = this.#stored.filter((stored) => !gone.includes(stored));
    for (const { fd } of gone) fd.close();
  }
}

/** Whether two descriptors are of one open file description: then they share its flags. open(2) */
function isSameOpenFile(one: number, other: number): boolean {
  const [a, b] = [fstatSync(one, { bigint: true }), fstatSync(other, { bigint: true })];
  if (a.dev !== b.dev || a.ino !== b.ino) return false;
  const before = isNonBlocking(one);
  try {
    if (isNonBlocking(other) !== before) return false;
    setNonBlocking(one, !before);
    const isSame = isNonBlocking(other) !== before;
    setNonBlocking(one, before);
    return isSame;
  } catch (error) {
    // That of a path alone has no flags that could be set.
    if (!isSystemError(error, 'EBADF')) throw error;
    return false;
  }
}

function isNonBlocking(fd: number): boolean {
  return (statusFlags(fd) & O_NONBLOCK) !== 0;
}
