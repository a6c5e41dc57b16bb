import { isSystemError, sigqueue } from '@sdrx/linux';
import { findManager, workersOf } from '../control/manager-processes.js';
import { childrenOf } from '../program/children-of.js';
import { LOG_LEVELS, type LogLevel } from '../program/log.js';

/** The commands of SIGRTMIN+18 for the levels begin here. sd_event_add_signal(3) */
const SET_LEVEL = 0x100;

/** How long workers that have begun, and don't serve yet, are waited for, in milliseconds, and how often they are looked for. */
const START_TIME = 5000;
const LOOK_INTERVAL = 50;

/**
 * Tells the manager and all its workers up to which level to log.
 * @throws Error when no manager runs, or it is not for this user to tell
 */
export async function setLogLevel(runtimeDirectory: string, level: LogLevel): Promise<void> {
  const manager = findManager(runtimeDirectory);
  const command = SET_LEVEL + LOG_LEVELS.indexOf(level);
  // The manager first: workers that it starts from now on begin with its level.
  sigqueue(manager, 'SIGRTMIN+18', command);
  await tellWorkers(runtimeDirectory, manager, command);
}

/** Tells all that there are now. One that does not serve yet would die of the signal, and began with the level of before. */
async function tellWorkers(runtimeDirectory: string, manager: number, command: number): Promise<void> {
  const end = performance.now() + START_TIME;
  // Workers that wait for their turn to begin are among them, and now and then somebody else.
  let untold = new Set(childrenOf(manager));
  for (;;) {
    for (const pid of workersOf(runtimeDirectory, manager)) if (untold.delete(pid)) tell(pid, command);
    if (untold.size === 0 || performance.now() > end) return;
    await new Promise((resolve) => setTimeout(resolve, LOOK_INTERVAL));
    const children = new Set(childrenOf(manager));
    untold = new Set([...untold].filter((pid) => children.has(pid)));
  }
}

function tell(pid: number, command: number): void {
  try {
    sigqueue(pid, 'SIGRTMIN+18', command);
  } catch (error) {
    // It has just ended.
    if (!isSystemError(error, 'ESRCH')) throw error;
  }
}
