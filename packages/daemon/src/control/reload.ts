import { askService } from '@sdrx/event';
import { isSystemError } from '@sdrx/linux';
import { controlPath } from '../program/runtime-directory.js';
import type { Command } from './command.js';
import { parseOrHelp } from './parse-or-help.js';
import { RUNTIME_DIRECTORY_OPTION, runtimeDirectoryOf } from './registry-view.js';

/** `nsresourcectl reload` */
export const reload: Command = {
  name: 'reload',
  summary: 'Has nsresourced start itself anew, from the file that is there by now',
  options: ['--runtime-directory='],
  async run(args) {
    const summary = 'Has nsresourced start itself anew, from the file that is there by now, and waits for the outcome.';
    const parsed = parseOrHelp({ program: 'nsresourcectl reload', summary, options: RUNTIME_DIRECTORY_OPTION }, args);
    if (parsed === undefined) return 0;
    const path = controlPath(runtimeDirectoryOf(parsed.values));
    try {
      process.stdout.write(`${await askService(path, 'reload')}\n`);
      return 0;
    } catch (error) {
      if (!isSystemError(error, 'ENOENT', 'ECONNREFUSED')) throw error;
      throw new Error(`no nsresourced is there to be reloaded: nobody listens at ${path}`, { cause: error });
    }
  },
};
