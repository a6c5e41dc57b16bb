import type { HandlersOf } from '@sdrx/varlink';
import { userDatabase } from '../interfaces/user-database.js';
import { GROUP, requireName, requireService, USER } from '../user/user-lookup.js';

/** Users of namespaces are in no group but their own. */
export function getMemberships(): Required<HandlersOf<typeof userDatabase>>['GetMemberships'] {
  return ({ userName, groupName, service }) => {
    requireName(userName, USER.name);
    requireName(groupName, GROUP.name);
    requireService(service);
    throw userDatabase.errors.NoRecordFound();
  };
}
