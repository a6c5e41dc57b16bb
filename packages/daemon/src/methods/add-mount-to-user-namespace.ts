import { O_DIRECTORY, O_PATH } from '@sdrx/linux';
import type { HandlersOf } from '@sdrx/varlink';
import type { namespaceResource } from '../interfaces/namespace-resource.js';
import type { WorkerContext } from '../worker/worker-context.js';
import { requireRegistered } from './require-registered.js';
import { requireRestrict } from './require-restrict.js';
import { requireRoot } from './require-root.js';
import { requireDirectory, requireSafeFlags } from './safe-fd.js';
import { requireUserNamespace } from './userns.js';

/**
 * Looks whether the call is right, and does nothing more. What the tasks of a namespace may own is judged by the ids that get
 * to a file system, which the mounts of clients, mapped as they are, keep harmless; so no mount needs to be known.
 *
 * None is kept either, as it was while mounts were known by an id that the kernel gives again: a kept mount keeps its file
 * system busy, and before Linux 6.7 the namespace that it is mapped by alive, whose death nobody would be told then.
 *
 * It is for root only, whom polkit is not asked about.
 */
export function addMountToUserNamespace(
  context: WorkerContext,
): Required<HandlersOf<typeof namespaceResource>>['AddMountToUserNamespace'] {
  return (parameters, call) => {
    requireRestrict(context);
    requireRoot(call.peer);
    const fd = call.fd(parameters.userNamespaceFileDescriptor);
    const userns = requireUserNamespace(fd, call.peer);
    const mount = call.fd(parameters.mountFileDescriptor);
    requireSafeFlags(mount, O_PATH | O_DIRECTORY);
    requireDirectory(mount);
    using _lock = context.registry.lock();
    requireRegistered(context, fd, userns);
    return {};
  };
}
