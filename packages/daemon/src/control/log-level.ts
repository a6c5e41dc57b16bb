import { setTimeout } from 'node:timers/promises';
import { isSystemError, sigqueue } from '@sdrx/linux';
import { childrenOf } from '../program/children-of.js';
import { LOG_LEVELS } from '../program/log.js';
import { UsageError } from '../program/usage-error.js';
import type { Command } from './command.js';
import { findManager, workersOf } from './manager-processes.js';
import { parseOrHelp } from './parse-or-help.js';
import { RUNTIME_DIRECTORY_OPTION, runtimeDirectoryOf } from './registry-view.js';

/** The commands of SIGRTMIN+18 for the levels begin here. sd_event_add_signal(3) */
const SET_LEVEL = 0x100;

/** How long workers that have begun, and don't serve yet, are waited for, in milliseconds, and how often they are looked for. */
const START_TIME = 5000;
const LOOK_INTERVAL = 50;

/** `nsresourcectl log-level` */
export const logLevel: Command = {
  name: 'log-level',
  summary: 'Sets what nsresourced logs, from emerg to debug, until it ends',
  options: ['--runtime-directory='],
  operand: LOG_LEVELS,
  async run(args) {
    const parsed = parseOrHelp(
      {
        program: 'nsresourcectl log-level',
        summary: `Sets up to which level nsresourced and its workers log, until it ends: ${LOG_LEVELS.join(', ')}. For root.`,
        options: RUNTIME_DIRECTORY_OPTION,
        operands: 'LEVEL',
      },
      args,
      [1, 1],
    );
    if (parsed === undefined) return 0;
    const [level = ''] = parsed.operands;
    const levels: readonly string[] = LOG_LEVELS;
    const index = levels.indexOf(level);
    if (index === -1) throw new UsageError(`'${level}' is no level: it is one of ${LOG_LEVELS.join(', ')}`);
    const runtimeDirectory = runtimeDirectoryOf(parsed.values);
    const manager = findManager(runtimeDirectory);
    // The manager first: workers that it starts from now on begin with its level.
    sigqueue(manager, 'SIGRTMIN+18', SET_LEVEL + index);
    await tellWorkers(runtimeDirectory, manager, SET_LEVEL + index);
    return 0;
  },
};

/** Tells all that there are now. One that does not serve yet would die of the signal, and began with the level of before. */
async function tellWorkers(runtimeDirectory: string, manager: number, command: number): Promise<void> {
  const end = performance.now() + START_TIME;
  // Workers that wait for their turn to begin are among them, and now and then somebody else.
  let untold = new Set(childrenOf(manager));
  for (;;) {
    for (const pid of workersOf(runtimeDirectory, manager)) if (untold.delete(pid)) tell(pid, command);
    if (untold.size === 0 || performance.now() > end) return;
    await setTimeout(LOOK_INTERVAL);
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
