import { namespaceResource } from './interfaces/namespace-resource.js';
import { userDatabase } from './interfaces/user-database.js';
import type { Registry } from './registry.js';
import { lookup, type NamespaceId, type UserQuery } from './user-record.js';

const { BadService, ConflictingRecordFound, EnumerationNotSupported, NoRecordFound } = userDatabase.errors;

/** Throws BadService if another service was meant than this one. */
export function requireService(service: string): void {
  if (service !== namespaceResource.name) throw BadService();
}

/**
 * Finds the user or group that a client asks for.
 * Throws BadService, EnumerationNotSupported, NoRecordFound, ConflictingRecordFound.
 */
export function findUser(registry: Registry, service: string, query: UserQuery): NamespaceId {
  requireService(service);
  if (query.id === undefined && query.name === undefined) throw EnumerationNotSupported();
  const found = lookup(registry, query);
  if (found === 'no-record') throw NoRecordFound();
  if (found === 'conflict') throw ConflictingRecordFound();
  return found;
}
