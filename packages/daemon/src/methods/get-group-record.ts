import type { HandlersOf } from '@sdrx/varlink';
import type { userDatabase } from '../interfaces/user-database.js';
import { findUser, GROUP } from '../user/user-lookup.js';
import { groupRecord } from '../user/user-record.js';
import type { WorkerContext } from '../worker/worker-context.js';

export function getGroupRecord({
  registry,
}: WorkerContext): Required<HandlersOf<typeof userDatabase>>['GetGroupRecord'] {
  return ({ gid, groupName, service }) => {
    const { entry, offset } = findUser(registry, service, { id: gid, name: groupName }, GROUP);
    return { record: { ...groupRecord(entry, offset) } };
  };
}
