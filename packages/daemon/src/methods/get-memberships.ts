import type { HandlersOf } from '@sdrx/varlink';
import { userDatabase } from '../interfaces/user-database.js';
import { requireService } from '../user-lookup.js';

/** Users of namespaces are in no group but their own. */
export function getMemberships(): Required<HandlersOf<typeof userDatabase>>['GetMemberships'] {
  return ({ service }) => {
    requireService(service);
    throw userDatabase.errors.NoRecordFound();
  };
}
