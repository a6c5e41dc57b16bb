import { varlinkService } from '@sdrx/varlink';
import { namespaceResource } from '../interfaces/namespace-resource.js';
import { userDatabase } from '../interfaces/user-database.js';
import type { Registry } from '../registry/registry.js';
import { type Kind, lookup, type NamespaceId, type UserQuery } from './user-record.js';

const { BadService, ConflictingRecordFound, EnumerationNotSupported, NoRecordFound } = userDatabase.errors;
const { InvalidParameter } = varlinkService.errors;

/** The parameters that hold the two halves of a query. */
interface QueryParameters {
  readonly kind: Kind;
  readonly id: string;
  readonly name: string;
}
export const USER: QueryParameters = { kind: 'user', id: 'uid', name: 'userName' };
export const GROUP: QueryParameters = { kind: 'group', id: 'gid', name: 'groupName' };

/** What systemd takes for the name of a user or group of any database, by its relaxed rules. systemd.io/USER_NAMES */
const NAME = /^(?!\.{1,2}$|-?\d*$| )[^\p{Cc}:/]+(?<! )$/u;

/** The values of uid_t, with 32 and with 16 bits, that mean "none". chown(2) */
const NO_ID = [0xffff_ffff, 0xffff];

/** Throws BadService if another service was meant than this one. */
export function requireService(service: string): void {
  if (service !== namespaceResource.name) throw BadService();
}

/** Throws InvalidParameter for what can be nobody's name, as opposed to a name that nobody has. */
export function requireName(name: string | undefined, parameter: string): void {
  if (name !== undefined && !NAME.test(name)) throw InvalidParameter({ parameter });
}

/**
 * Finds the user or group that a client asks for.
 * Throws InvalidParameter for what can be nobody's id or name, BadService, EnumerationNotSupported, NoRecordFound,
 * ConflictingRecordFound.
 */
export function findUser(
  registry: Registry,
  service: string,
  query: UserQuery,
  parameters: QueryParameters,
): NamespaceId {
  if (query.id !== undefined && NO_ID.includes(query.id)) throw InvalidParameter({ parameter: parameters.id });
  requireName(query.name, parameters.name);
  requireService(service);
  if (query.id === undefined && query.name === undefined) throw EnumerationNotSupported();
  const found = lookup(registry, query, parameters.kind);
  if (found === 'no-record') throw NoRecordFound();
  if (found === 'conflict') throw ConflictingRecordFound();
  return found;
}
