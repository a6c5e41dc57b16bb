import type { HandlersOf } from '@sdrx/varlink';
import type { userDatabase } from '../interfaces/user-database.js';
import { findUser, USER } from '../user/user-lookup.js';
import { userRecord } from '../user/user-record.js';
import type { WorkerContext } from '../worker/worker-context.js';

export function getUserRecord({ registry }: WorkerContext): Required<HandlersOf<typeof userDatabase>>['GetUserRecord'] {
  return ({ uid, userName, service }) => {
    const { entry, offset } = findUser(registry, service, { id: uid, name: userName }, USER);
    return { record: { ...userRecord(entry, offset) } };
  };
}
