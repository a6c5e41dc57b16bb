import { EUSERS } from '@sdrx/linux';
import { systemFailure } from '@sdrx/varlink';
import { namespaceResource } from '../interfaces/namespace-resource.js';
import { userName } from '../namespace/namespace-name.js';
import type { NamespaceEntry } from '../registry/namespace-entry.js';
import type { Registry } from '../registry/registry.js';
import type { NameAnswers } from './name-answers.js';
import type { NamespaceShare } from './namespace-share.js';

const { NameExists, UserNamespaceExists } = namespaceResource.errors;

/** What is to be registered. */
export type Candidate = Pick<NamespaceEntry, 'userns' | 'name'>;

/**
 * Checks that a namespace can be registered by its name; for it to stay so, hold the registry's lock. Room is made before,
 * by `makeRoom`.
 * @param share what its owner has of the namespaces a user may have
 * Throws EUSERS, UserNamespaceExists, NameExists, and as `NameAnswers.isTaken`.
 */
export function requireVacancy(
  registry: Registry,
  { name, userns }: Candidate,
  share: NamespaceShare,
  answers: NameAnswers,
): void {
  if (share.exhausted) throw systemFailure(EUSERS);
  if (registry.hasInode(userns)) throw UserNamespaceExists();
  if (registry.hasName(name) || answers.isTaken(userName({ name, offset: 0 }))) throw NameExists();
}
