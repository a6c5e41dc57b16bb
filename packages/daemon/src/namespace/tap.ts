import {
  attachTunInThread,
  EOPNOTSUPP,
  type Fd,
  IFF_NO_PI,
  IFF_TAP,
  IFF_TUN_EXCL,
  IFF_VNET_HDR,
  isSystemError,
  Links,
  openTun,
  SystemError,
  setTunOwner,
} from '@sdrx/linux';
import type { Log } from '../program/log.js';
import type { NamespaceEntry } from '../registry/namespace-entry.js';
import { addAlternativeName } from './netif.js';
import { alternativeHostName, hostName } from './netif-names.js';

/** Of Ethernet frames, each with a header before it by which virtual machines leave checksums and segmentation to others. */
const KIND = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;

/**
 * Makes a network interface here, down, whose other end is a descriptor. It goes when that is closed everywhere, unless who has
 * it makes it persistent: such a one is attached to again.
 * @param uid who may attach to it beside us, the host's id of the namespace's root
 * Rejects with EOPNOTSUPP where there is no /dev/net/tun, EBUSY when it has somebody already or its name is another's, EINVAL
 * when a veth pair of the namespace has the name.
 */
export async function createTap(entry: NamespaceEntry, uid: number, log: Log): Promise<Fd> {
  const tap = open();
  try {
    const [host, alternative] = [hostName(entry, undefined), alternativeHostName(entry, undefined)];
    using links = new Links();
    const isNew = await attach(tap.number, links, host, alternative);
    setTunOwner(tap.number, uid);
    if (isNew) addAlternativeName(links, host, alternative, log);
    return tap;
  } catch (error) {
    tap.close();
    throw error;
  }
}

function open(): Fd {
  try {
    return openTun();
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) throw new SystemError(EOPNOTSUPP, 'open', '/dev/net/tun');
    throw error;
  }
}

/** @returns false for an interface that was there: only the namespace's own one is attached to, as names are hashes */
async function attach(tap: number, links: Links, host: string, alternative: string): Promise<boolean> {
  try {
    await attachTunInThread(tap, host, KIND | IFF_TUN_EXCL);
    return true;
  } catch (error) {
    if (!isSystemError(error, 'EBUSY') || links.find(host)?.alternativeNames.includes(alternative) !== true)
      throw error;
  }
  await attachTunInThread(tap, host, KIND);
  return false;
}
