import { askService } from '@sdrx/event';
import { type Implementation, serviceControl } from '@sdrx/varlink';
import type { Log } from '../program/log.js';
import { controlPath } from '../program/runtime-directory.js';
import { setLogLevel } from './set-log-level.js';

/**
 * `io.systemd.service`, as a worker serves it for the whole daemon: the manager is reloaded by its control socket, and the level is
 * told to all processes. The environment is the worker's, which has it from the manager.
 */
export function controlInterface(runtimeDirectory: string, log: Log): Implementation {
  return serviceControl({
    log,
    reload: async () => {
      // The worker that serves this gives way by that, when it has answered.
      await askService(controlPath(runtimeDirectory), 'reload');
    },
    setLogLevel: async (level) => {
      // The signal comes to this worker, too, but maybe after the reply.
      log.level = level;
      await setLogLevel(runtimeDirectory, level);
    },
  });
}
