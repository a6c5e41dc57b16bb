import type { Command } from './command.js';
import { list } from './list.js';
import { reload } from './reload.js';
import { run } from './run.js';
import { show } from './show.js';

/** All that nsresourcectl can do, as `--help` has it. */
export const COMMANDS: readonly Command[] = [run, list, show, reload];
