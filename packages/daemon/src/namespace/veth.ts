import { Links } from '@sdrx/linux';
import type { Log } from '../program/log.js';
import type { NamespaceEntry } from '../registry/namespace-entry.js';
import { addAlternativeName } from './netif.js';
import { alternativeHostName, HOST_END, hostName, NAMESPACE_END, vethAddress } from './netif-names.js';

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
  addAlternativeName(links, host, alternativeHostName(entry, wanted), log);
}
