import { isSystemError, type Link, Links } from '@sdrx/linux';
import type { Log } from '../program/log.js';
import type { NamespaceEntry } from '../registry/namespace-entry.js';
import { alternativeHostName, HOST_END, hostName, NAMESPACE_END, vethAddress } from './veth-names.js';

/**
 * Lays a cable from here to a network namespace. Both ends are down: to switch them on is up to whoever manages the network at
 * either end. rtnetlink(7). Rejects with EEXIST when one of the names is taken.
 * @param wanted the name inside, if the client said one
 * @param inside the name inside
 */
export async function createVeth(
  entry: NamespaceEntry,
  wanted: string | undefined,
  inside: string,
  network: number,
  log: Log,
): Promise<void> {
  const host = hostName(entry, wanted);
  using links = new Links();
  await links.createVethInThread(
    { name: host, address: vethAddress(entry, wanted, HOST_END) },
    { name: inside, address: vethAddress(entry, wanted, NAMESPACE_END) },
    network,
  );
  const alternative = alternativeHostName(entry, wanted);
  try {
    links.addAlternativeName(host, alternative);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    // It is for people; everything works without.
    log.warning(`interface ${host} can't have the alternative name ${alternative}`, error);
  }
}

/**
 * Removes an interface of a namespace, and the other end with it; harmless if there is none of this name, or only another's: names
 * are hashes, and an interface that could not be made, as its name was taken, may be on the list.
 */
export async function deleteVeth(entry: NamespaceEntry, host: string): Promise<void> {
  using links = new Links();
  if (!isThere(links, entry, host)) return;
  try {
    await links.deleteInThread(host);
  } catch (error) {
    if (!isSystemError(error, 'ENODEV')) throw error;
  }
}

/** Whether a namespace's interface is there. */
export function hasVeth(entry: NamespaceEntry, host: string): boolean {
  using links = new Links();
  return isThere(links, entry, host);
}

function isThere(links: Links, entry: NamespaceEntry, host: string): boolean {
  const link = links.find(host);
  return link !== undefined && isOwn(entry, link);
}

/** The alternative name tells whose it is, if it could have one. */
function isOwn({ owner, name }: NamespaceEntry, { alternativeNames }: Link): boolean {
  const telling = alternativeNames.filter((alternative) => alternative.startsWith('ns-'));
  const own = `ns-${owner}-${name}`;
  return (
    telling.length === 0 || telling.some((alternative) => alternative === own || alternative.startsWith(`${own}-`))
  );
}
