import { type Implementation, implement } from '@sdrx/varlink';
import { namespaceResource } from '../interfaces/namespace-resource.js';
import { userDatabase } from '../interfaces/user-database.js';
import type { WorkerContext } from '../worker/worker-context.js';
import { addControlGroupToUserNamespace } from './add-control-group-to-user-namespace.js';
import { addMountToUserNamespace } from './add-mount-to-user-namespace.js';
import { addNetworkToUserNamespace } from './add-network-to-user-namespace.js';
import { allocateUserRange } from './allocate-user-range.js';
import { getGroupRecord } from './get-group-record.js';
import { getMemberships } from './get-memberships.js';
import { getUserRecord } from './get-user-record.js';
import { registerUserNamespace } from './register-user-namespace.js';
import { requireRestrict } from './require-restrict.js';

/** The interfaces that a worker serves. */
export function methods(context: WorkerContext): Implementation[] {
  return [
    implement(
      namespaceResource,
      {
        AllocateUserRange: allocateUserRange(context),
        RegisterUserNamespace: registerUserNamespace(context),
        AddMountToUserNamespace: addMountToUserNamespace(context),
        AddControlGroupToUserNamespace: addControlGroupToUserNamespace(context),
        AddNetworkToUserNamespace: addNetworkToUserNamespace(context),
      },
      {
        before: () => requireRestrict(context),
      },
    ),
    implement(userDatabase, {
      GetUserRecord: getUserRecord(context),
      GetGroupRecord: getGroupRecord(context),
      GetMemberships: getMemberships(),
    }),
  ];
}
