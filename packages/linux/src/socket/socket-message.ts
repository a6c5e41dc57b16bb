import { checkBytes, checkFd, checkFds, checkInteger, checkObject, checkText } from '../arguments.js';
import { EAGAIN, EINTR, EINVAL, EMFILE, EMSGSIZE } from '../error/errno.js';
import { SystemError } from '../error/system-error.js';
import { closeFunction } from '../fd/descriptor-call.js';
import { close } from '../fd/fd.js';
import { addressOf, allocate, errno, libc } from '../ffi/libc.js';
import { atThreadEnd } from '../thread/thread-end.js';
import { type PeerCredentials, unixAddress } from './socket.js';

const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const SCM_CREDENTIALS = 2;
const MSG_CTRUNC = 0x8;
const MSG_TRUNC = 0x20;
const TRUNCATED = MSG_CTRUNC | MSG_TRUNC;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x4000_0000;

/** The kernel passes at most this many descriptors with one message (SCM_MAX_FD). unix(7). */
export const MAX_PASSED_FDS = 253;

const MSGHDR_SIZE = 56;
const IOVEC_SIZE = 16;
const CMSGHDR_SIZE = 16;
// Room for the descriptors, and for what else a socket that somebody else set up may deliver (SO_PASSCRED, SO_PASSSEC, …).
const CONTROL_SIZE = CMSGHDR_SIZE + MAX_PASSED_FDS * 4 + 4 + 512;

const sendmsgCall = libc<(fd: number, message: Uint8Array, flags: number) => number>(
  'intptr_t sendmsg(int, const void *, int)',
);
const recvmsgCall = libc<(fd: number, message: Uint8Array, flags: number) => number>(
  'intptr_t recvmsg(int, void *, int)',
);

// One msghdr with its iovec and control buffer, set up once: calls are synchronous, so they never overlap.
const message = allocate(MSGHDR_SIZE);
const iovec = allocate(IOVEC_SIZE);
const control = allocate(CONTROL_SIZE);
const controlAddress = addressOf(control);
message.writeBigUInt64LE(addressOf(iovec), 16);
message.writeUInt32LE(1, 24);

const words = new Uint32Array(message.buffer, message.byteOffset, MSGHDR_SIZE / 4);
const NAME = 0;
const NAME_SIZE = 2;
const CONTROL = 8;
const CONTROL_LENGTH = 10;
const FLAGS = 12;

// What the addresses in the msghdr belong to during a call. Optimized code keeps no local variable that it is done with.
const held: { memory: readonly (Uint8Array | undefined)[] } = { memory: [] };

function setControl(size: number): void {
  message.writeBigUInt64LE(size === 0 ? 0n : controlAddress, CONTROL * 4);
  words[CONTROL_LENGTH] = size;
}

function setName(address: Buffer | undefined): void {
  message.writeBigUInt64LE(address === undefined ? 0n : addressOf(address), NAME * 4);
  words[NAME_SIZE] = address?.length ?? 0;
}

function setPayload(address: bigint, size: number): void {
  iovec.writeBigUInt64LE(address, 0);
  iovec.writeUInt32LE(size, 8);
}

export interface SendOptions {
  /** Descriptors to pass along, at most 253; the receiver gets copies, ours stay ours. */
  readonly fds?: readonly number[];
  /** Where a datagram goes: a path, or a name that begins with `@`. */
  readonly to?: string;
}

/**
 * Sends bytes and descriptors over a socket of the family AF_UNIX. sendmsg(2). Never raises SIGPIPE.
 * @returns how many bytes were taken (descriptors go with the first, so with none no descriptor goes over a stream), undefined
 * when a non-blocking socket takes none now
 * @throws EPIPE, ECONNRESET, ETOOMANYREFS, EBADF, EINVAL for more than 253 descriptors, EMSGSIZE for a datagram that is too long,
 * and with `to` what connect(2) and `unixAddress` throw
 */
export function sendMessage(fd: number, bytes: Uint8Array, options: SendOptions = {}): number | undefined {
  checkFd(fd);
  checkBytes('bytes', bytes);
  checkObject('options', options);
  const { fds = [], to } = options;
  checkFds('fds', fds);
  if (to !== undefined) checkText('to', to);
  if (fds.length > MAX_PASSED_FDS) throw new SystemError(EINVAL, 'sendmsg', `${fds.length} descriptors`);
  const address = to === undefined ? undefined : unixAddress(to);
  held.memory = [bytes, address];
  setName(address);
  setPayload(addressOf(bytes), bytes.byteLength);
  if (fds.length === 0) {
    setControl(0);
  } else {
    const length = CMSGHDR_SIZE + fds.length * 4;
    control.writeBigUInt64LE(BigInt(length), 0);
    control.writeInt32LE(SOL_SOCKET, 8);
    control.writeInt32LE(SCM_RIGHTS, 12);
    fds.forEach((passed, index) => {
      control.writeInt32LE(passed, CMSGHDR_SIZE + index * 4);
    });
    setControl(Math.ceil(length / 8) * 8);
  }
  words[FLAGS] = 0;
  for (;;) {
    const count = sendmsgCall(fd, message, MSG_NOSIGNAL);
    const error = count === -1 ? errno() : 0;
    if (error === EINTR) continue;
    held.memory = [];
    if (count !== -1) return count;
    if (error === EAGAIN) return undefined;
    throw new SystemError(error, 'sendmsg', to ?? String(fd));
  }
}

/** Where a socket's messages are received; made once, used for many. */
export class ReceiveBuffer {
  readonly bytes: Buffer;
  readonly #address: bigint;
  #sender: PeerCredentials | undefined;

  /**
   * Who sent what was received last, as of the sending: the kernel vouches for it, but to root, who may say what it likes.
   * Undefined unless the socket was told to `receiveSenders`. unix(7) SCM_CREDENTIALS
   */
  get sender(): PeerCredentials | undefined {
    return this.#sender;
  }

  /** @param size in bytes: what one receive takes at most */
  constructor(size: number) {
    checkInteger('size', size, 1, 0x7fff_ffff);
    this.bytes = allocate(size);
    this.#address = addressOf(this.bytes);
  }

  /**
   * Receives into `bytes`, with the descriptors passed along, close-on-exec. recvmsg(2).
   * @param fds gets the descriptors' numbers appended, which are the caller's from then on, to be closed by `close` or as an
   * `Fd`; in a worker thread they are closed at its end otherwise
   * @param lost gets those of a message of which not all is there; without it they are closed, in this thread
   * @returns how many bytes, 0 at the end (or for an empty datagram), undefined when a non-blocking socket has nothing now After
   * the last two the message is gone: no descriptor of it gets into `fds`, and nobody knows how much of `bytes` is filled, so a
   * stream can only be closed.
   * @throws ECONNRESET, EMFILE when descriptors were passed that this process has no room for, and EMSGSIZE when a datagram is
   * longer than `bytes`
   */
  receive(fd: number, fds: number[], lost?: number[]): number | undefined {
    checkFd(fd);
    checkFds('fds', fds);
    if (lost !== undefined) checkFds('lost', lost);
    this.#sender = undefined;
    setName(undefined);
    held.memory = [this.bytes];
    setPayload(this.#address, this.bytes.length);
    setControl(CONTROL_SIZE);
    for (;;) {
      const count = recvmsgCall(fd, message, MSG_CMSG_CLOEXEC);
      if (count !== -1) {
        // With no room for a single descriptor there is no control message either, only the flag.
        if (words[CONTROL_LENGTH] !== 0 || truncated()) this.#sender = takeControl(fd, fds, lost);
        return count;
      }
      const error = errno();
      if (error === EAGAIN) return undefined;
      if (error !== EINTR) throw new SystemError(error, 'recvmsg', String(fd));
      setControl(CONTROL_SIZE);
    }
  }
}

function truncated(flags = TRUNCATED): boolean {
  return ((words[FLAGS] as number) & flags) !== 0;
}

/** @returns the sender, if it is told */
function takeControl(fd: number, fds: number[], lost: number[] | undefined): PeerCredentials | undefined {
  const end = words[CONTROL_LENGTH] as number;
  const received: number[] = [];
  let sender: PeerCredentials | undefined;
  for (let at = 0; at + CMSGHDR_SIZE <= end; ) {
    const length = control.readUInt32LE(at);
    if (length < CMSGHDR_SIZE) break;
    const kind = control.readInt32LE(at + 8) === SOL_SOCKET ? control.readInt32LE(at + 12) : undefined;
    const data = at + CMSGHDR_SIZE;
    if (kind === SCM_RIGHTS) {
      for (let entry = data; entry + 4 <= at + length; entry += 4) received.push(control.readInt32LE(entry));
      for (const number of received) atThreadEnd(closeFunction, number);
    } else if (kind === SCM_CREDENTIALS) {
      sender = {
        pid: control.readInt32LE(data),
        uid: control.readUInt32LE(data + 4),
        gid: control.readUInt32LE(data + 8),
      };
    }
    at += Math.ceil(length / 8) * 8;
  }
  if (truncated()) {
    // Indices into a list with holes would name the wrong descriptors, and a part of a datagram is no message.
    if (lost === undefined) received.forEach(close);
    else lost.push(...received);
    throw new SystemError(truncated(MSG_CTRUNC) ? EMFILE : EMSGSIZE, 'recvmsg', String(fd));
  }
  fds.push(...received);
  return sender;
}
