import { type Implementation, implement } from '@sdrx/varlink';
import { namespaceResource } from '../interfaces/namespace-resource.js';
import { userDatabase } from '../interfaces/user-database.js';
import type { WorkerContext } from '../worker-context.js';
import { allocateUserRange } from './allocate-user-range.js';
import { getGroupRecord } from './get-group-record.js';
import { getMemberships } from './get-memberships.js';
import { getUserRecord } from './get-user-record.js';
import { requireRestrict } from './require-restrict.js';

/** The interfaces that a worker serves, with the methods that it has so far. */
export function methods(context: WorkerContext): Implementation[] {
  return [
    implement(
      namespaceResource,
      { AllocateUserRange: allocateUserRange(context) },
      // Before anything is said about parameters.
      { before: () => void requireRestrict(context) },
    ),
    implement(userDatabase, {
      GetUserRecord: getUserRecord(context),
      GetGroupRecord: getGroupRecord(context),
      GetMemberships: getMemberships(),
    }),
  ];
}
