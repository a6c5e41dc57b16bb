import {
  type Fd,
  isSystemError,
  makeSocket,
  NETLINK_ROUTE,
  O_NONBLOCK,
  read,
  setSocketOption,
  write,
} from '@sdrx/linux';

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const RTNLGRP_LINK = 1;

const RTM_GETLINK = 18;
const NLM_F_REQUEST = 0x1;
const NLM_F_DUMP = 0x300;
/** struct nlmsghdr and struct ifinfomsg, which is all zeros: every interface. */
const REQUEST_SIZE = 16 + 16;

/** More than the kernel puts into one datagram. */
const RECEIVE_SIZE = 65_536;

/** What the source needs of a socket. A test on a virtual loop has one of its own. */
export interface LinkSocket extends Disposable {
  readonly number: number;
  /** Asks for all interfaces that are there. */
  ask(): void;
  /**
   * @returns what has come, to be read before the next call; undefined if nothing has; `lost` if the kernel had no room for some of it
   */
  receive(): Buffer | 'lost' | undefined;
}

/** A connection with the kernel that hears of changes of network interfaces, in the network namespace that we are in now. rtnetlink(7) */
export class RouteSocket implements LinkSocket {
  readonly #fd: Fd;
  readonly #buffer = Buffer.alloc(RECEIVE_SIZE);

  constructor() {
    this.#fd = makeSocket(AF_NETLINK, SOCK_RAW | O_NONBLOCK, NETLINK_ROUTE);
    try {
      setSocketOption(this.#fd.number, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, RTNLGRP_LINK);
    } catch (error) {
      this.#fd.close();
      throw error;
    }
  }

  get number(): number {
    return this.#fd.number;
  }

  ask(): void {
    const request = Buffer.alloc(REQUEST_SIZE);
    request.writeUInt32LE(REQUEST_SIZE, 0);
    request.writeUInt16LE(RTM_GETLINK, 4);
    request.writeUInt16LE(NLM_F_REQUEST | NLM_F_DUMP, 6);
    write(this.#fd.number, request);
  }

  receive(): Buffer | 'lost' | undefined {
    try {
      const size = read(this.#fd.number, this.#buffer);
      return size === undefined ? undefined : this.#buffer.subarray(0, size);
    } catch (error) {
      if (isSystemError(error, 'ENOBUFS')) return 'lost';
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}
