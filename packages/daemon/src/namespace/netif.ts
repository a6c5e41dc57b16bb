import { isSystemError, type Link, Links } from '@sdrx/linux';
import type { Log } from '../program/log.js';
import type { NamespaceEntry } from '../registry/namespace-entry.js';

/** Gives the host's interface of a namespace its alternative name. It is for people; everything works without. */
export function addAlternativeName(links: Links, host: string, alternative: string, log: Log): void {
  try {
    links.addAlternativeName(host, alternative);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    log.warning(`interface ${host} can't have the alternative name ${alternative}`, error);
  }
}

/**
 * Removes an interface of a namespace, of a veth pair the other end with it; harmless if there is none of this name, or only
 * another's: names are hashes, and an interface that could not be made, as its name was taken, may be on the list.
 */
export async function deleteNetif(entry: NamespaceEntry, host: string): Promise<void> {
  using links = new Links();
  if (!isThere(links, entry, host)) return;
  try {
    await links.deleteInThread(host);
  } catch (error) {
    if (!isSystemError(error, 'ENODEV')) throw error;
  }
}

/** Whether a namespace's interface is there. */
export function hasNetif(entry: NamespaceEntry, host: string): boolean {
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
