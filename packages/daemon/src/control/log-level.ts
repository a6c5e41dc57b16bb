import { serviceInterface } from '@sdrx/varlink';
import { isLeft } from 'fp-ts/lib/Either.js';
import { LOG_LEVELS } from '../program/log.js';
import { socketPath } from '../program/runtime-directory.js';
import { UsageError } from '../program/usage-error.js';
import { setLogLevel } from '../service/set-log-level.js';
import type { Command } from './command.js';
import { parseOrHelp } from './parse-or-help.js';
import { RUNTIME_DIRECTORY_OPTION, runtimeDirectoryOf } from './registry-view.js';
import { callService } from './service-call.js';

/** `nsresourcectl log-level` */
export const logLevel: Command = {
  name: 'log-level',
  summary: 'Says or sets what nsresourced logs, from emerg to debug, until it ends',
  options: ['--runtime-directory='],
  operand: LOG_LEVELS,
  async run(args) {
    const parsed = parseOrHelp(
      {
        program: 'nsresourcectl log-level',
        summary: `Sets up to which level nsresourced and its workers log, until it ends: ${LOG_LEVELS.join(', ')}. For root.
Without LEVEL it says which one that is.`,
        options: RUNTIME_DIRECTORY_OPTION,
        operands: '[LEVEL]',
      },
      args,
      [0, 1],
    );
    if (parsed === undefined) return 0;
    const runtimeDirectory = runtimeDirectoryOf(parsed.values);
    const [given] = parsed.operands;
    if (given === undefined) {
      process.stdout.write(`${getLogLevel(runtimeDirectory)}\n`);
      return 0;
    }
    const level = LOG_LEVELS.find((name) => name === given);
    if (level === undefined) throw new UsageError(`'${given}' is no level: it is one of ${LOG_LEVELS.join(', ')}`);
    await setLogLevel(runtimeDirectory, level);
    return 0;
  },
};

/** Asks the daemon. @throws ServiceError by a daemon that does not tell, as systemd's */
function getLogLevel(runtimeDirectory: string): string {
  const { GetLogLevel } = serviceInterface.methods;
  const reply = GetLogLevel.reply.decode(callService(socketPath(runtimeDirectory), GetLogLevel.name, {}));
  const name = isLeft(reply) ? undefined : LOG_LEVELS[reply.right.level];
  if (name === undefined) throw new Error('what the daemon says is no level');
  return name;
}
