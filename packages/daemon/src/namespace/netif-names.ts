import { INTERFACE_NAME_MAX } from '@sdrx/linux';
import type { NamespaceEntry } from '../registry/namespace-entry.js';
import { siphash24 } from './siphash24.js';

const NAME_KEY = Buffer.from('c46c96e8ad374d5fa1aefe7040ed415f', 'hex');
const ADDRESS_KEY = Buffer.from('36aad169c7e54caa1eb29eb33a6bd471', 'hex');

const MULTICAST = 0x01;
const LOCAL = 0x02;

/** Which end of a veth pair; the number is part of what its address is made of. */
export const HOST_END = 0n;
export const NAMESPACE_END = 1n;

/**
 * The name of a namespace's interface at the host. So short a name can't be told from others and tell whose it is, too, so it is a hash.
 * @param wanted the name inside, if the client said one
 */
export function hostName({ name }: NamespaceEntry, wanted: string | undefined): string {
  const hash = siphash24(NAME_KEY, Buffer.from(`${name}\0${wanted ?? ''}`));
  return `ns-${hash.toString(16).padStart(8, '0')}`.slice(0, INTERFACE_NAME_MAX);
}

/** Its alternative name, which says whose it is. */
export function alternativeHostName({ owner, name }: NamespaceEntry, wanted: string | undefined): string {
  return ['ns', owner, name, ...(wanted === undefined ? [] : [wanted])].join('-');
}

/** The Ethernet address of an end of a veth pair: always the same for one name, and of the kind that nobody is the maker of. */
export function vethAddress({ name }: NamespaceEntry, wanted: string | undefined, end: bigint): Buffer {
  const index = Buffer.alloc(8);
  index.writeBigUInt64LE(end);
  const hash = Buffer.alloc(8);
  hash.writeBigUInt64LE(siphash24(ADDRESS_KEY, Buffer.concat([Buffer.from(`${name}\0${wanted ?? ''}\0`), index])));
  const [first = 0, ...others] = hash.subarray(0, 6);
  return Buffer.from([(first & ~MULTICAST) | LOCAL, ...others]);
}
