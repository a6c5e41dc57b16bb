import type { UsernsRestrict } from '@sdrx/bpf';
import { namespaceResource } from '../interfaces/namespace-resource.js';
import type { WorkerContext } from '../worker/worker-context.js';

/** Throws UserNamespaceInterfaceNotSupported where the user namespace interfaces are off. */
export function requireRestrict({ restrict }: WorkerContext): UsernsRestrict {
  if (restrict === undefined) throw namespaceResource.errors.UserNamespaceInterfaceNotSupported();
  return restrict;
}
