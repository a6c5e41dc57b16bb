import { checkChoice, checkText } from '@sdrx/linux';

/** Why a graceful restart did not take place. */
export type RestartRefusal =
  | 'not-ready'
  | 'in-progress'
  | 'draining'
  | 'stopping'
  | 'not-current'
  | 'connection'
  | 'pid-namespace'
  | 'program'
  | 'descriptors'
  | 'time-out'
  | 'failed'
  | 'died'
  | 'protocol'
  | 'manager';

const MEANINGS: Readonly<Record<RestartRefusal, string>> = {
  'not-ready': 'the service is not ready itself yet: ask again when it is',
  'in-progress': 'a restart is under way: ask again when it is over',
  draining: 'too many former processes still have connections: wait for them, or end them',
  stopping: 'the service is ending',
  'not-current': 'another process has taken over from this one: ask that one',
  connection: 'a service that was started for a single connection (Accept=yes) has nothing to hand on',
  'pid-namespace':
    'the process is the first one of its PID namespace, which ends with it: restart the container or the unit',
  program: 'the program can not be started',
  descriptors: 'too few descriptors are left: raise LimitNOFILE=',
  'time-out': 'the new process was not ready in time',
  failed: 'the new process could not start',
  died: 'the new process ended',
  protocol:
    'the new process does not keep to the protocol: it must take over what it is handed, see takeOver and runService',
  manager: 'the service manager takes no messages: it would not know the new process, or start one',
};

/** A graceful restart that did not take place. The process that was asked goes on as before. */
export class RestartError extends Error {
  /** The class's. */
  override readonly name = 'RestartError';

  constructor(
    /** For programs. */
    readonly reason: RestartRefusal,
    detail = '',
    options: ErrorOptions = {},
  ) {
    checkChoice('reason', reason, Object.keys(MEANINGS));
    checkText('detail', detail);
    super(detail === '' ? MEANINGS[reason] : `${MEANINGS[reason]} (${detail})`, options);
  }
}
