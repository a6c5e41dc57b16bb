import { closeSync, constants, mkdtempSync, openSync, readdirSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  bind,
  duplicate,
  Epoll,
  eventfd,
  Fd,
  libc,
  listen,
  makeSocket,
  memoryFile,
  O_PATH,
  pidfdOpen,
  pipe,
  socketPair,
  unixSocket,
} from '@sdrx/linux';
import { detachedMount } from '../support/mount.js';
import { UserNamespace } from '../support/user-namespace.js';

const AF_INET = 2;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;

const inotifyInit = libc<(flags: number) => number>('int inotify_init1(int)');
const timerfdCreate = libc<(clock: number, flags: number) => number>('int timerfd_create(int, int)');
const signalfd = libc<(fd: number, set: Uint8Array, flags: number) => number>('int signalfd(int, const void *, int)');

/** One kind of descriptor that a client may pass. */
export interface FdKind {
  readonly name: string;
  readonly fd: number;
  /** Whether it is a user namespace that this user may have something done to; undefined for none. */
  readonly userns?: (uid: number) => boolean;
}

/** Every kind of descriptor that could be had, open until disposed of. */
export class FdKinds implements Disposable {
  readonly kinds: FdKind[] = [];
  readonly #folder = mkdtempSync(join(tmpdir(), 'sdrx-fuzz-'));
  readonly #own: (() => void)[] = [];

  /** @param owner a user who owns one of the namespaces */
  constructor(owner: number) {
    const path = join(this.#folder, 'file');
    writeFileSync(path, 'content');
    const open = (name: string, what: string, flags: number | string) => this.#add(name, new Fd(openSync(what, flags)));
    open('file', path, 'r');
    open('file to write', path, 'r+');
    open('file to append', path, 'a');
    open('file by O_PATH', path, O_PATH);
    open('directory', this.#folder, 'r');
    open('directory by O_DIRECTORY', this.#folder, constants.O_DIRECTORY);
    open('directory by O_PATH', this.#folder, O_PATH);
    open('link by O_PATH', '/proc/self/exe', O_PATH | constants.O_NOFOLLOW);
    open('/dev/null', '/dev/null', 'r+');
    open('/dev/zero', '/dev/zero', 'r');
    open('terminal', '/dev/ptmx', 'r+');
    open('/proc file', '/proc/self/status', 'r');
    open('id map', '/proc/self/uid_map', 'r+');
    open('/proc directory', '/proc/self', 'r');
    open('/sys file', '/sys/kernel/uevent_seqnum', 'r');
    const deleted = join(this.#folder, 'deleted');
    writeFileSync(deleted, '');
    open('deleted file', deleted, 'r');
    unlinkSync(deleted);
    for (const kind of readdirSync('/proc/self/ns')) {
      const fd = new Fd(openSync(`/proc/self/ns/${kind}`, 'r'));
      this.#add(`our ${kind} namespace`, fd, kind === 'user' ? () => false : undefined);
    }
    const [reader, writer] = pipe();
    this.#add('pipe to read', reader);
    this.#add('pipe to write', writer);
    const [one, other] = socketPair();
    this.#add('socket', one);
    this.#own.push(() => other.close());
    const listener = unixSocket();
    bind(listener.number, join(this.#folder, 'socket'));
    listen(listener.number);
    this.#add('listening socket', listener);
    this.#add('TCP socket', makeSocket(AF_INET, SOCK_STREAM));
    this.#add('UDP socket', makeSocket(AF_INET, SOCK_DGRAM));
    this.#add('memory', memoryFile('fuzz'));
    this.#add('memory named as a namespace', memoryFile('user:[4026531837]'));
    this.#add('eventfd', eventfd());
    this.#add('timerfd', new Fd(timerfdCreate(1, 0)));
    this.#add('inotify', new Fd(inotifyInit(0)));
    this.#add('signalfd', new Fd(signalfd(-1, Buffer.alloc(128), 0)));
    const epoll = new Epoll();
    this.#add('epoll', duplicate(epoll.fd));
    this.#own.push(() => epoll[Symbol.dispose]());
    this.#add('pidfd', pidfdOpen(process.pid));
    this.#add('mount', detachedMount('/tmp'));
    for (const [name, uid] of [
      ["root's user namespace", 0],
      ["a user's user namespace", owner],
    ] as const) {
      const namespace = new UserNamespace(uid, '--net');
      this.#own.push(() => namespace[Symbol.dispose]());
      this.#add(name, namespace.open(), (peer) => peer === 0 || peer === uid);
      this.#add(`the network of ${name}`, namespace.open('net'));
    }
    const mapped = new UserNamespace([], '--map-root-user');
    this.#own.push(() => mapped[Symbol.dispose]());
    this.#add('mapped user namespace', mapped.open(), (peer) => peer === 0);
    for (const cgroup of ['/sys/fs/cgroup/unified', '/sys/fs/cgroup']) {
      try {
        open(`cgroup ${cgroup}`, cgroup, 'r');
        open(`cgroup.procs of ${cgroup}`, join(cgroup, 'cgroup.procs'), 'r');
      } catch {
        // It is mounted elsewhere.
      }
    }
  }

  /** The place of a kind among all. Throws RangeError for one that can't be had here. */
  indexOf(name: string): number {
    const index = this.kinds.findIndex((kind) => kind.name === name);
    if (index === -1) throw new RangeError(`no descriptor of the kind '${name}'`);
    return index;
  }

  #add(name: string, fd: Fd, userns?: (uid: number) => boolean): void {
    this.#own.push(() => fd.close());
    this.kinds.push({ name, fd: fd.number, ...(userns && { userns }) });
  }

  [Symbol.dispose](): void {
    for (const end of this.#own.reverse()) end();
    rmSync(this.#folder, { recursive: true });
  }
}

/** Whether all of these can be made here. */
export function canMakeKinds(): boolean {
  try {
    closeSync(openSync('/dev/ptmx', 'r+'));
    return process.getuid?.() === 0;
  } catch {
    return false;
  }
}
