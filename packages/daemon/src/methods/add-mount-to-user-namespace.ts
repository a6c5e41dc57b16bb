import { notify } from '@sdrx/event';
import { O_DIRECTORY, O_PATH } from '@sdrx/linux';
import type { HandlersOf } from '@sdrx/varlink';
import type { namespaceResource } from '../interfaces/namespace-resource.js';
import { requireDirectory, requireSafeFlags } from '../safe-fd.js';
import { requireUserNamespace } from '../userns.js';
import type { WorkerContext } from '../worker-context.js';
import { requireRegistered } from './require-registered.js';
import { requireRestrict } from './require-restrict.js';

/** Lets the tasks of a registered namespace own files on a mount. Only root gets here. */
export function addMountToUserNamespace(
  context: WorkerContext,
): Required<HandlersOf<typeof namespaceResource>>['AddMountToUserNamespace'] {
  return (parameters, call) => {
    const restrict = requireRestrict(context);
    const fd = call.fd(parameters.userNamespaceFileDescriptor);
    const userns = requireUserNamespace(fd, call.peer);
    const mount = call.fd(parameters.mountFileDescriptor);
    requireSafeFlags(mount, O_PATH | O_DIRECTORY);
    requireDirectory(mount);
    using _lock = context.registry.lock();
    requireRegistered(context, fd, userns);
    const isNew = context.liveness?.doubt(userns);
    try {
      // Kept before it is allowed: a mount that nobody keeps may go, and another one get its id.
      // Unwatched: the service manager can not watch a descriptor of a path alone, and would refuse it.
      notify({ FDSTORE: 1, FDNAME: `userns-${userns}`, FDPOLL: 0 }, [mount]);
    } catch (error) {
      if (isNew) context.liveness?.trust(userns);
      throw error;
    }
    restrict.allowMount(fd, mount);
    return {};
  };
}
