import type { VirtualDescriptor, VirtualFile as VirtualLoopFile } from '@sdrx/event/testing';
import * as linux from '@sdrx/linux';

/** What a scenario does with a virtual descriptor. Each tells its descriptor what it is ready for. */
export interface VirtualFd {
  readonly descriptor: VirtualDescriptor;
  write(data: string): void;
  /** @returns undefined if there is nothing yet */
  read(): string | undefined;
  close(): void;
}

/** eventfd(2) */
export class VirtualEventFd implements VirtualFd {
  #count = 0;

  constructor(
    readonly descriptor: VirtualDescriptor,
    count: number,
  ) {
    descriptor.ready(linux.EPOLLOUT);
    if (count > 0) this.write(String(count));
  }

  write(count: string): void {
    this.#count += Number(count);
    this.descriptor.ready(linux.EPOLLIN);
  }

  read(): string | undefined {
    const count = this.#count;
    this.#count = 0;
    this.descriptor.unready(linux.EPOLLIN);
    return count === 0 ? undefined : String(count);
  }

  close(): void {
    this.descriptor[Symbol.dispose]();
  }
}

/** One end of a pair of stream sockets; a fifo is both. */
export class VirtualSocket implements VirtualFd {
  peer: VirtualSocket = this;
  /** Called when something was written. */
  written: () => void = () => {};
  #received = '';
  #isAtEnd = false;

  constructor(readonly descriptor: VirtualDescriptor) {
    descriptor.ready(linux.EPOLLOUT);
  }

  write(data: string): void {
    this.peer.#received += data;
    this.peer.descriptor.ready(linux.EPOLLIN);
    this.written();
  }

  read(): string | undefined {
    const received = this.#received;
    this.#received = '';
    if (this.#isAtEnd) return received;
    this.descriptor.unready(linux.EPOLLIN);
    return received === '' ? undefined : received;
  }

  close(): void {
    this.peer.#isAtEnd = true;
    this.peer.descriptor.ready(linux.EPOLLIN | linux.EPOLLRDHUP | linux.EPOLLHUP);
    this.descriptor[Symbol.dispose]();
  }
}

/** A regular file. */
export class VirtualFile implements VirtualFd {
  constructor(
    readonly descriptor: VirtualDescriptor,
    readonly file: VirtualLoopFile,
  ) {}

  write(): void {
    this.file.write();
  }

  read(): string {
    return '';
  }

  close(): void {
    this.file[Symbol.dispose]();
    this.descriptor[Symbol.dispose]();
  }
}

/** What a service manager hears. It is a real socket, since it is not by the loop that a program speaks to it. */
export class VirtualManager implements VirtualFd {
  readonly #socket = linux.unixSocket(linux.SOCK_DGRAM);

  constructor(
    readonly descriptor: VirtualDescriptor,
    path: string,
  ) {
    linux.bind(this.#socket.number, path);
  }

  /** Looks whether there is something. @returns whether there is, and was not before */
  hears(): boolean {
    if (this.descriptor.revents !== 0 || linux.pollNow(this.#socket.number, linux.EPOLLIN) === 0) return false;
    this.descriptor.ready(linux.EPOLLIN);
    return true;
  }

  write(): void {
    throw new Error('a service manager says nothing');
  }

  read(): string | undefined {
    const buffer = Buffer.alloc(256);
    const size = linux.read(this.#socket.number, buffer);
    this.descriptor.unready(linux.EPOLLIN);
    return size === undefined ? undefined : buffer.toString('utf8', 0, size);
  }

  close(): void {
    this.#socket.close();
    this.descriptor[Symbol.dispose]();
  }
}
