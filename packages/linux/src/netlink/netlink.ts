import { checkArray, checkBytes, checkFd, checkInteger, checkObject, checkText, checkUint32 } from '../arguments.js';
import { EBADMSG, EINTR, ETIMEDOUT } from '../error/errno.js';
import { SystemError } from '../error/system-error.js';
import { type Fd, read, write } from '../fd/fd.js';
import { allocate, libc } from '../ffi/libc.js';
import { enableSocketOption, makeSocket, setReceiveTimeout } from '../socket/socket.js';
import { align, readAttributes, readText } from './netlink-attribute.js';

/** The family of netlink sockets for network interfaces, addresses and routes. rtnetlink(7) */
export const NETLINK_ROUTE = 0;

/** Flags of a request beside those that every one has. netlink(7) */
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;

const NLM_F_REQUEST = 0x1;
const NLM_F_ACK = 0x4;
const NLM_F_DUMP_INTR = 0x10;
const NLM_F_DUMP = 0x300;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLMSGERR_ATTR_MSG = 1;

const HEADER_SIZE = 16;
// More than the kernel puts into one datagram.
const RECEIVE_SIZE = 65_536;

/** How long an answer may take that the kernel gives before the request returns, in milliseconds: it was lost. */
const ANSWER_TIME = 5000;

/** How often a list is asked for anew when it changed on the way. */
const DUMPS = 100;

const writeInThread = libc<
  (fd: number, buffer: Uint8Array, size: number, done: (error: Error | null, result: number) => void) => void
>('intptr_t write(int, const void *, size_t)', 'async');

export interface NetlinkRequest {
  /** The message's type, which is the family's own, such as RTM_NEWLINK. */
  readonly type: number;
  /** What it is called, and what it is about, for errors. */
  readonly name: string;
  readonly subject?: string | undefined;
  readonly flags?: number;
  /** The family's own header and the attributes. */
  readonly body: readonly Uint8Array[];
}

interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly body: Buffer;
}

/**
 * A connection with the kernel, in the network namespace that we are in now. netlink(7). The kernel does what it is asked for, and
 * answers, before the call by which it is asked returns. All calls throw, beside what the kernel answers, ENOBUFS when it had no
 * memory for the answer and ETIMEDOUT when none came: what was asked for may have been done then.
 */
export class Netlink implements Disposable {
  readonly #fd: Fd;
  readonly #buffer = allocate(RECEIVE_SIZE);
  #sequence = 0;

  /** @param family NETLINK_*; throws EPROTONOSUPPORT, EMFILE */
  constructor(family = NETLINK_ROUTE) {
    checkFd(family, 'family');
    this.#fd = makeSocket(AF_NETLINK, SOCK_RAW, family);
    try {
      // Errors in words, without our own request.
      for (const option of [NETLINK_EXT_ACK, NETLINK_CAP_ACK]) enableSocketOption(this.#fd.number, SOL_NETLINK, option);
      setReceiveTimeout(this.#fd.number, ANSWER_TIME);
    } catch (error) {
      this.#fd.close();
      throw error;
    }
  }

  /** Has something done. @throws what the kernel answers, with its words if it has any */
  request(request: NetlinkRequest): void {
    checkRequest(request);
    this.#ask(request, NLM_F_ACK);
  }

  /**
   * The same in a thread, for what may have to wait in the kernel, as for all that others have it do with their interfaces. One
   * at a time. Dispose of the connection only when it is done.
   */
  async requestInThread(request: NetlinkRequest): Promise<void> {
    checkRequest(request);
    const sequence = ++this.#sequence;
    const message = format(request, sequence, NLM_F_ACK);
    const sent = await new Promise<number>((resolve, reject) => {
      writeInThread(this.#fd.number, message, message.length, (error, result) =>
        error === null ? resolve(result) : reject(error),
      );
    });
    // Why it was not sent is known where errno is: here, once more.
    if (sent === -1) write(this.#fd.number, message);
    this.#answers(request, sequence);
  }

  /** Asks for one thing. @returns the body of the answer */
  get(request: NetlinkRequest): Buffer {
    checkRequest(request);
    const [answer] = this.#ask(request, NLM_F_ACK);
    if (answer === undefined) throw new SystemError(EBADMSG, request.name, request.subject);
    return answer.body;
  }

  /** Asks for all of a kind. @returns the bodies of the answers @throws EINTR for what changes all the time */
  dump(request: NetlinkRequest): Buffer[] {
    checkRequest(request);
    for (let tries = 1; ; tries++) {
      const answers = this.#ask(request, NLM_F_DUMP);
      // Something changed on the way: what came may be half old, half new.
      const isTorn = answers.some(({ flags }) => (flags & NLM_F_DUMP_INTR) !== 0);
      if (!isTorn) return answers.map(({ body }) => body);
      if (tries >= DUMPS) throw new SystemError(EINTR, request.name, request.subject);
    }
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }

  #ask(request: NetlinkRequest, flags: number): Message[] {
    const sequence = ++this.#sequence;
    write(this.#fd.number, format(request, sequence, flags));
    return this.#answers(request, sequence);
  }

  #answers(request: NetlinkRequest, sequence: number): Message[] {
    const answers: Message[] = [];
    for (;;) {
      for (const message of this.#receive(request)) {
        if (message.sequence !== sequence) continue;
        if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
          throwError(message, request);
          return answers;
        }
        answers.push(message);
      }
    }
  }

  #receive({ name, subject }: NetlinkRequest): Message[] {
    const size = read(this.#fd.number, this.#buffer);
    if (size === undefined) throw new SystemError(ETIMEDOUT, name, subject);
    const messages: Message[] = [];
    for (let at = 0; at + HEADER_SIZE <= size; ) {
      const length = this.#buffer.readUInt32LE(at);
      if (length < HEADER_SIZE || at + length > size) throw new SystemError(EBADMSG, 'netlink', 'message');
      messages.push({
        type: this.#buffer.readUInt16LE(at + 4),
        flags: this.#buffer.readUInt16LE(at + 6),
        sequence: this.#buffer.readUInt32LE(at + 8),
        // A copy: the next datagram comes to the same place.
        body: Buffer.from(this.#buffer.subarray(at + HEADER_SIZE, at + length)),
      });
      at += align(length);
    }
    return messages;
  }
}

function checkRequest(request: NetlinkRequest): void {
  checkObject('request', request);
  const { type, name, subject, flags = 0, body } = request;
  checkInteger('request.type', type, 0, 0xffff);
  checkText('request.name', name);
  if (subject !== undefined) checkText('request.subject', subject);
  checkUint32('request.flags', flags);
  checkArray('request.body', body, checkBytes);
}

/** A message as it is sent. */
function format({ type, flags = 0, body }: NetlinkRequest, sequence: number, more: number): Buffer {
  const message = Buffer.concat([Buffer.alloc(HEADER_SIZE), ...body]);
  message.writeUInt32LE(message.length, 0);
  message.writeUInt16LE(type, 4);
  message.writeUInt16LE(NLM_F_REQUEST | flags | more, 6);
  message.writeUInt32LE(sequence, 8);
  return message;
}

/** @throws what an NLMSG_ERROR or NLMSG_DONE says; does nothing if it says that all went well */
function throwError({ type, flags, body }: Message, { name, subject }: NetlinkRequest): void {
  const error = body.length < 4 ? 0 : -body.readInt32LE(0);
  if (error === 0) return;
  const words = (flags & NLM_F_ACK_TLVS) === 0 ? undefined : errorText(type, flags, body);
  const what = [subject, words].filter((part) => part !== undefined).join(': ');
  throw new SystemError(error, name, what === '' ? undefined : what);
}

/** The kernel's words come after the number and, in an NLMSG_ERROR, the request or just its header. */
function errorText(type: number, flags: number, body: Buffer): string | undefined {
  let at = 4;
  if (type === NLMSG_ERROR && body.length >= at + HEADER_SIZE) {
    at += (flags & NLM_F_CAPPED) === 0 ? align(body.readUInt32LE(at)) : HEADER_SIZE;
  }
  const message = readAttributes(body.subarray(at)).find((found) => found.type === NLMSGERR_ATTR_MSG);
  return message && readText(message.value);
}
