import { checkBoolean, checkBytes, checkFd, checkObject, checkText } from '../arguments.js';
import { EBADMSG } from '../error/errno.js';
import { isSystemError, SystemError } from '../error/system-error.js';
import { NETLINK_ROUTE, Netlink, type NetlinkRequest, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL } from './netlink.js';
import { attribute, nested, readAttributes, readText, textAttribute, uint32Attribute } from './netlink-attribute.js';

/** The longest name of an interface, in bytes; an alternative one may have 127. */
export const INTERFACE_NAME_MAX = 15;

export const IFF_UP = 1;

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const RTM_NEWLINKPROP = 108;
const RTM_DELLINKPROP = 109;

const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_LINKINFO = 18;
const IFLA_NET_NS_FD = 28;
const IFLA_PROP_LIST = 52;
const IFLA_ALT_IFNAME = 53;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const VETH_INFO_PEER = 1;

const LINK_HEADER_SIZE = 16;

/** A network interface. rtnetlink(7) */
export interface Link {
  readonly index: number;
  readonly name: string;
  /** Other names that it can be found by, each up to 127 bytes. */
  readonly alternativeNames: readonly string[];
  /** Its hardware address; 6 bytes for Ethernet. */
  readonly address: Buffer;
  /** IFF_*, netdevice(7). */
  readonly flags: number;
}

/** One end of a veth pair. */
export interface VethEnd {
  readonly name: string;
  /** 6 bytes; by default random ones. */
  readonly address?: Uint8Array;
}

/** The network interfaces of the network namespace that we are in at its making. rtnetlink(7) */
export class Links implements Disposable {
  readonly #netlink = new Netlink(NETLINK_ROUTE);

  /** @throws EPERM, where the kernel says so */
  all(): Link[] {
    return this.#netlink.dump({ type: RTM_GETLINK, name: 'RTM_GETLINK', body: [header()] }).map(parseLink);
  }

  /** Finds an interface by its name or an alternative one; undefined if there is none. */
  find(name: string): Link | undefined {
    checkText('name', name);
    try {
      return parseLink(
        this.#netlink.get({ type: RTM_GETLINK, name: 'RTM_GETLINK', subject: name, body: [header(), nameOf(name)] }),
      );
    } catch (error) {
      if (isSystemError(error, 'ENODEV')) return undefined;
      throw error;
    }
  }

  /**
   * Makes two interfaces, both down, that are the ends of one cable: one here, and its peer in the network namespace that
   * `namespace` is a descriptor of. veth(4).
   * @throws EEXIST when one of the names is taken, EINVAL for an invalid name or address, ERANGE for a name that is too long,
   * EPERM, EOPNOTSUPP without veth
   */
  createVeth(end: VethEnd, peer: VethEnd, namespace: number): void {
    checkEnd('end', end);
    checkEnd('peer', peer);
    checkFd(namespace, 'namespace');
    this.#netlink.request(newVeth(end, peer, namespace));
  }

  /** The same in a thread: it may have to wait for what others have done with their interfaces. */
  async createVethInThread(end: VethEnd, peer: VethEnd, namespace: number): Promise<void> {
    checkEnd('end', end);
    checkEnd('peer', peer);
    checkFd(namespace, 'namespace');
    await this.#netlink.requestInThread(newVeth(end, peer, namespace));
  }

  /** Gives an interface a name more. Needs Linux 5.5. @throws EEXIST, ENODEV, ERANGE for one of more than 127 bytes */
  addAlternativeName(name: string, alternative: string): void {
    checkText('name', name);
    checkText('alternative', alternative);
    const list = nested(IFLA_PROP_LIST, textAttribute(IFLA_ALT_IFNAME, alternative));
    const flags = NLM_F_CREATE | NLM_F_EXCL | NLM_F_APPEND;
    this.#change(RTM_NEWLINKPROP, 'RTM_NEWLINKPROP', name, flags, [header(), nameOf(name), list]);
  }

  /** Takes an alternative name away. @throws ENODEV, and EINVAL for a name that is none of the interface */
  deleteAlternativeName(name: string, alternative: string): void {
    checkText('name', name);
    checkText('alternative', alternative);
    const list = nested(IFLA_PROP_LIST, textAttribute(IFLA_ALT_IFNAME, alternative));
    this.#change(RTM_DELLINKPROP, 'RTM_DELLINKPROP', name, 0, [header(), nameOf(name), list]);
  }

  /** Sets the hardware address. @throws ENODEV, EADDRNOTAVAIL for one that can't be, EBUSY */
  setAddress(name: string, address: Uint8Array): void {
    checkText('name', name);
    checkBytes('address', address);
    const body = [header(), nameOf(name), attribute(IFLA_ADDRESS, address)];
    this.#change(RTM_NEWLINK, 'RTM_NEWLINK', name, 0, body);
  }

  /** Switches an interface on or off. @throws ENODEV */
  setUp(name: string, up = true): void {
    checkText('name', name);
    checkBoolean('up', up);
    this.#change(RTM_NEWLINK, 'RTM_NEWLINK', name, 0, [
      header({ flags: up ? IFF_UP : 0, change: IFF_UP }),
      nameOf(name),
    ]);
  }

  /** Moves an interface to the network namespace that `namespace` is a descriptor of. @throws ENODEV, EEXIST, EPERM */
  move(name: string, namespace: number): void {
    checkText('name', name);
    checkFd(namespace, 'namespace');
    const body = [header(), nameOf(name), uint32Attribute(IFLA_NET_NS_FD, namespace)];
    this.#change(RTM_NEWLINK, 'RTM_NEWLINK', name, 0, body);
  }

  /** Removes an interface, by its name or an alternative one, and the peer that it may have. @throws ENODEV */
  delete(name: string): void {
    checkText('name', name);
    this.#netlink.request(delLink(name));
  }

  /** The same in a thread. */
  async deleteInThread(name: string): Promise<void> {
    checkText('name', name);
    await this.#netlink.requestInThread(delLink(name));
  }

  [Symbol.dispose](): void {
    this.#netlink[Symbol.dispose]();
  }

  #change(type: number, name: string, subject: string, flags: number, body: readonly Uint8Array[]): void {
    this.#netlink.request({ type, name, subject, flags, body });
  }
}

function newVeth(end: VethEnd, peer: VethEnd, namespace: number): NetlinkRequest {
  const far = [header(), ...vethEnd(peer), uint32Attribute(IFLA_NET_NS_FD, namespace)];
  const data = nested(IFLA_INFO_DATA, nested(VETH_INFO_PEER, ...far));
  const info = nested(IFLA_LINKINFO, textAttribute(IFLA_INFO_KIND, 'veth'), data);
  const body = [header(), ...vethEnd(end), info];
  return { type: RTM_NEWLINK, name: 'RTM_NEWLINK', subject: end.name, flags: NLM_F_CREATE | NLM_F_EXCL, body };
}

function delLink(name: string): NetlinkRequest {
  return { type: RTM_DELLINK, name: 'RTM_DELLINK', subject: name, body: [header(), nameOf(name)] };
}

function checkEnd(name: string, end: VethEnd): void {
  checkObject(name, end);
  checkText(`${name}.name`, end.name);
  if (end.address !== undefined) checkBytes(`${name}.address`, end.address);
}

function vethEnd({ name, address }: VethEnd): Buffer[] {
  const hardware = address === undefined ? [] : [attribute(IFLA_ADDRESS, address)];
  return [textAttribute(IFLA_IFNAME, name), ...hardware];
}

/** An interface is looked up among all names whichever of the two says it, but one of them is short. */
function nameOf(name: string): Buffer {
  return textAttribute(Buffer.byteLength(name) > INTERFACE_NAME_MAX ? IFLA_ALT_IFNAME : IFLA_IFNAME, name);
}

/** struct ifinfomsg: family, type, index, flags, and which of the flags are meant. */
function header({ flags = 0, change = 0 } = {}): Buffer {
  const bytes = Buffer.alloc(LINK_HEADER_SIZE);
  bytes.writeUInt32LE(flags, 8);
  bytes.writeUInt32LE(change, 12);
  return bytes;
}

function parseLink(body: Buffer): Link {
  if (body.length < LINK_HEADER_SIZE) throw new SystemError(EBADMSG, 'RTM_GETLINK');
  const attributes = readAttributes(body.subarray(LINK_HEADER_SIZE));
  const find = (type: number): Buffer => attributes.find((found) => found.type === type)?.value ?? Buffer.alloc(0);
  return {
    index: body.readInt32LE(4),
    flags: body.readUInt32LE(8),
    name: readText(find(IFLA_IFNAME)),
    alternativeNames: readAttributes(find(IFLA_PROP_LIST))
      .filter(({ type }) => type === IFLA_ALT_IFNAME)
      .map(({ value }) => readText(value)),
    address: find(IFLA_ADDRESS),
  };
}
