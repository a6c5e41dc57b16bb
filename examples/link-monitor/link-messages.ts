import { align, EBADMSG, readAttributes, readText, SystemError } from '@sdrx/linux';

/** struct nlmsghdr of netlink(7): length, type, flags, sequence number, port. */
const HEADER_SIZE = 16;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_MULTI = 0x2;
const NLM_F_DUMP_INTR = 0x10;

/** struct ifinfomsg of rtnetlink(7): family, type, index, flags, change. */
const LINK_SIZE = 16;
const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const AF_UNSPEC = 0;
const IFLA_IFNAME = 3;
const IFF_UP = 0x1;
const IFF_LOWER_UP = 0x10000;

/** A network interface. */
export interface Link {
  readonly index: number;
  readonly name: string;
  /** IFF_*, netdevice(7). */
  readonly flags: number;
  /** Whether it is switched on. */
  readonly up: boolean;
  /** Whether there is somebody at the other end of the cable. */
  readonly carrier: boolean;
}

/** What the kernel says: of an interface, that it is there as described, or gone; or that its list ends. */
export type LinkMessage = (
  | { readonly type: 'new' | 'gone'; readonly link: Link }
  | { readonly type: 'end'; readonly link?: undefined }
) & {
  /** It is a part of the list that was asked for, of several messages. */
  readonly listed: boolean;
  /** Something changed while the list was made, which therefore may be half old, half new. */
  readonly torn: boolean;
};

/** Reads what came at a time. Throws EBADMSG for what is malformed, and the error that the kernel answers. */
export function* readLinkMessages(datagram: Buffer): Generator<LinkMessage> {
  for (let at = 0; at < datagram.length; ) {
    const length = at + HEADER_SIZE <= datagram.length ? datagram.readUInt32LE(at) : 0;
    if (length < HEADER_SIZE || length > datagram.length - at) throw malformed();
    const flags = datagram.readUInt16LE(at + 6);
    const how = { listed: (flags & NLM_F_MULTI) !== 0, torn: (flags & NLM_F_DUMP_INTR) !== 0 };
    const type = datagram.readUInt16LE(at + 4);
    const body = datagram.subarray(at + HEADER_SIZE, at + length);
    if (type === NLMSG_ERROR || type === NLMSG_DONE) {
      throwError(body);
      if (type === NLMSG_DONE) yield { type: 'end', ...how };
    } else if (type === RTM_NEWLINK || type === RTM_DELLINK) {
      const link = readLink(body);
      if (link !== undefined) yield { type: type === RTM_NEWLINK ? 'new' : 'gone', link, ...how };
    }
    at += align(length);
  }
}

/** @returns undefined for what is about something else: a port that leaves its bridge is a link of that family that goes */
function readLink(body: Buffer): Link | undefined {
  if (body.length < LINK_SIZE) throw malformed();
  if (body.readUInt8(0) !== AF_UNSPEC) return undefined;
  const [index, flags] = [body.readInt32LE(4), body.readUInt32LE(8)];
  const name = readAttributes(body.subarray(LINK_SIZE)).find(({ type }) => type === IFLA_IFNAME);
  if (name === undefined) throw malformed();
  const [up, carrier] = [(flags & IFF_UP) !== 0, (flags & IFF_LOWER_UP) !== 0];
  return { index, name: readText(name.value), flags, up, carrier };
}

/** Throws the error of an answer, a negated errno(3); 0 for none. */
function throwError(body: Buffer): void {
  if (body.length < 4) throw malformed();
  const error = body.readInt32LE(0);
  if (error > 0 || error === -0x8000_0000) throw malformed();
  if (error < 0) throw new SystemError(-error, 'RTM_GETLINK');
}

function malformed(): SystemError {
  return new SystemError(EBADMSG, 'netlink', 'message');
}
