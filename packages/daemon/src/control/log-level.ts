import { sigqueue } from '@sdrx/linux';
import { LOG_LEVELS } from '../program/log.js';
import { UsageError } from '../program/usage-error.js';
import type { Command } from './command.js';
import { findManager, workersOf } from './manager-processes.js';
import { parseOrHelp } from './parse-or-help.js';
import { RUNTIME_DIRECTORY_OPTION, runtimeDirectoryOf } from './registry-view.js';

/** The commands of SIGRTMIN+18 for the levels begin here. sd_event_add_signal(3) */
const SET_LEVEL = 0x100;

/** `nsresourcectl log-level` */
export const logLevel: Command = {
  name: 'log-level',
  summary: 'Sets what nsresourced logs, from emerg to debug, until it ends',
  options: ['--runtime-directory='],
  operand: LOG_LEVELS,
  run(args) {
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
    for (const pid of [manager, ...workersOf(runtimeDirectory, manager)])
      sigqueue(pid, 'SIGRTMIN+18', SET_LEVEL + index);
    return 0;
  },
};
